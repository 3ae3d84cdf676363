"""The public functions: patch and unpatch hosts, see what was decided and why, tune ahead of time."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from tpregistry import bootstrap, session
from tpregistry.decision import Decision, Decisions
from tpregistry.errors import TPError
from tpregistry.frame import Host, frame
from tpregistry.hosts import accelerated, adapter, first_present, host_for
from tpregistry.problem import ORDERS, Problem, bucket
from tpregistry.resolution import Resolution
from tpregistry.settings import Request, Settings, Tune, current


def patch() -> None:
    """Accelerate every host of this process: those imported already now, the others when they are."""
    bootstrap.install()
    for name in accelerated():
        if name in sys.modules:
            adapter(name).patch()


def unpatch() -> None:
    """Give every host its own code back."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, bootstrap.Finder)]
    for name in accelerated():
        if name in sys.modules:
            adapter(name).unpatch()


def decisions() -> Decisions:
    """What this process has bound, in the order in which it was decided.

    Each has `.problem`, `.backend` (a string), `.engine`, `.source`, `.ratio` (measured, times faster than the host) and
    `.calls`; ``decisions().left_to_host`` counts calls that a rule left to the host's own code.
    """
    return session.made


def autotune(
    subject: Any, *, batch: int | None = None, derivatives: int | None = None, device: str = "cpu", **settings: str | float
) -> list[Decision]:
    """Check and measure every problem of ``subject`` now: a Problem, a list of them, or a torch module.

    ``batch`` and ``derivatives`` (0, 1, 2) replace those of the problems; without ``derivatives`` those of a module are
    measured at all three orders, as a program that only evaluates looks for another record than one that trains.
    ``settings`` are those of `use`; without a ``budget`` there is a minute per problem. Existing records are replaced.
    """
    chosen = _tuning_settings({"budget": 60, **settings})
    found = _to_tune(subject, batch, derivatives, device)
    return [session.resolve(problem, host, first_present().framework, device, chosen) for problem, host in found]


def explain(subject: Any, *, batch: int | None = None, derivatives: int | None = None, device: str = "cpu") -> list[Resolution]:
    """For every problem of a Problem, list or module: candidates with verdicts, the record, the settings. Runs nothing.

    Products of a module that ran in this process are explained at the batches and orders of derivatives at which they ran.
    """
    if isinstance(subject, (list, tuple)):
        return [one for part in subject for one in explain(part, batch=batch, derivatives=derivatives, device=device)]
    as_asked = (lambda problem: [problem]) if isinstance(subject, Problem) else _as_run
    found = [
        (_adjusted(one, batch, derivatives), host) for problem, host in _subjects(subject, device) for one in as_asked(problem)
    ]
    once = {problem.digest: (problem, host) for problem, host in found}.values()
    return [Resolution(problem, host, frame(first_present().framework), device, current(), problem.batch) for problem, host in once]


def _as_run(problem: Problem) -> list[Problem]:
    """A problem at every batch and order at which this process has decided it; as it is where it has not."""
    ran = (decision.problem for decision in session.made)
    return [other for other in ran if other.at(batch=problem.batch, derivatives=problem.derivatives) == problem] or [problem]


def _tuning_settings(changes: dict[str, Any]) -> Settings:
    from tpregistry.settings import use

    with use(**changes) as settings:
        return replace(settings, backend=Request("auto"), tune=Tune.FORCE)


def _to_tune(subject: Any, batch: int | None, derivatives: int | None, device: str) -> list[tuple[Problem, Host]]:
    """A problem says its order itself; those of a module are wanted at every order."""
    if isinstance(subject, (list, tuple)):
        return [pair for part in subject for pair in _to_tune(part, batch, derivatives, device)]
    orders = (derivatives,) if isinstance(subject, Problem) or derivatives is not None else ORDERS
    return [(_adjusted(problem, batch, order), host) for problem, host in _subjects(subject, device) for order in orders]


def _adjusted(problem: Problem, batch: int | None, derivatives: int | None) -> Problem:
    size = problem.batch if batch is None else bucket(batch)
    return problem.at(batch=size, derivatives=problem.derivatives if derivatives is None else derivatives)


def _subjects(subject: Any, device: str) -> list[tuple[Problem, Host]]:
    if isinstance(subject, Problem):
        return [(subject, host_for(subject, first_present().framework, device))]
    pairs = {problem.digest: (problem, host) for problem, host in first_present().problems(subject)}
    if not pairs:
        raise TPError(f"there is no tensor product of a known host in {type(subject).__name__}")
    return list(pairs.values())
