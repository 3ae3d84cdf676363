"""The public functions: patch and unpatch hosts, see what was decided and why, tune ahead of time."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from importlib import metadata
from typing import Any

from tpregistry import bootstrap, discovery, report, session
from tpregistry.discovery import ADAPTERS
from tpregistry.errors import TPError
from tpregistry.frame import Host, frame
from tpregistry.problem import Problem, bucket
from tpregistry.session import Decision, Decisions, Resolution
from tpregistry.settings import Request, Settings, Tune, current, process_settings


@cache
def adapter(name: str) -> Any:
    """The adapter that waits for a module, loaded once."""
    report.arrange(process_settings())
    return discovery.load(ADAPTERS, name)()


def adapters() -> list[str]:
    """Names of the modules that installed adapters wait for."""
    return sorted(point.name for point in metadata.entry_points(group=ADAPTERS))


def patch() -> None:
    """Accelerate every host of this process: those imported already now, the others when they are."""
    bootstrap.install()
    for name in adapters():
        if name in sys.modules:
            adapter(name).patch()


def unpatch() -> None:
    """Give every host its own code back."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, bootstrap.Finder)]
    for name in adapters():
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

    ``batch`` and ``derivatives`` (0, 1, 2) replace those of the problems. ``settings`` are those of `use`; without a
    ``budget`` there is a minute per problem. Existing records are replaced.
    """
    chosen = _tuning_settings({"budget": 60, **settings})
    found = [(_adjusted(problem, batch, derivatives), host) for problem, host in _subjects(subject, device)]
    return [session.resolve(problem, host, _framework(), device, chosen) for problem, host in found]


def explain(subject: Any, *, batch: int | None = None, derivatives: int | None = None, device: str = "cpu") -> list[Resolution]:
    """For every problem of a Problem, list or module: candidates with verdicts, the record, the settings. Runs nothing."""
    found = ((_adjusted(problem, batch, derivatives), host) for problem, host in _subjects(subject, device))
    return [Resolution(problem, host, frame(_framework()), device, current()) for problem, host in found]


def _tuning_settings(changes: dict[str, Any]) -> Settings:
    from tpregistry.settings import use

    with use(**changes) as settings:
        return replace(settings, backend=Request("auto"), tune=Tune.FORCE)


def _adjusted(problem: Problem, batch: int | None, derivatives: int | None) -> Problem:
    size = problem.batch if batch is None else bucket(batch)
    return problem.at(batch=size, derivatives=problem.derivatives if derivatives is None else derivatives)


def _subjects(subject: Any, device: str) -> list[tuple[Problem, Host]]:
    if isinstance(subject, Problem):
        return [(subject, _host_adapter().host(subject, device))]
    if isinstance(subject, (list, tuple)):
        return [pair for part in subject for pair in _subjects(part, device)]
    pairs = {problem.digest: (problem, host) for problem, host in _host_adapter().problems(subject)}
    if not pairs:
        raise TPError(f"there is no tensor product of a known host in {type(subject).__name__}")
    return list(pairs.values())


def _host_adapter() -> Any:
    """The adapter of the first host that is installed."""
    names = adapters()
    present = [name for name in names if name in sys.modules or discovery.installed_version(name.split(".")[0])]
    if not present:
        raise TPError(f"no host is installed; adapters wait for {', '.join(names) or 'nothing'}")
    return adapter(present[0])


def _framework() -> str:
    return _host_adapter().framework
