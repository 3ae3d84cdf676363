"""``tpregistry explain``: for a problem, every backend's verdict and evidence, and what would be chosen now, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tpregistry.cli import output, subjects
from tpregistry.cli.output import JsonFlag

if TYPE_CHECKING:
    from tpregistry.resolution import Resolution

SCHEMA = "tpregistry.explain/1"
ONLY_HOST = 3


def explain(
    subject: Annotated[
        list[str], typer.Argument(metavar="SUBJECT...", help="IN1 IN2 [OUT] | FILE.json | DIGEST | FILE.pt", show_default=False)
    ],
    mode: subjects.ModeOption = "uvu",
    dtype: subjects.DtypeOption = None,
    batch: subjects.BatchOption = None,
    derivatives: subjects.DerivativesOption = None,
    shared: subjects.SharedOption = None,
    device: subjects.DeviceOption = "cpu",
    trust: subjects.TrustOption = False,
    source: Annotated[bool, typer.Option("--source", help="Also print the code that backends generate, and its plan.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show what would run for a problem now, and everything that speaks for or against each backend.

    Nothing is measured, and without --source nothing is built.

    \b
    The subject is one of
      '128x0e+128x1o' '1x0e+1x1o'   two irreps: one output per path
      IN1 IN2 OUT                   all allowed paths of --mode
      problem.json                  Problem.to_json(), or a list of them
      3f09ac                        the start of a record's digest
      model.pt --trust              every tensor product in a saved module

    \b
    Exit codes:
      0  some backend besides the host can do every problem
      2  the subject or a setting cannot be read
      3  only the host can do some problem
    """
    options = subjects.Options(mode, dtype, shared, device, trust)
    from tpregistry import discovery
    from tpregistry.settings import current

    # an unknown backend is found in 0.1 s here, in seconds by what follows
    discovery.check_request(current().backend, discovery.backends(current()))
    named = subjects.read_subjects(subject, options)
    subjects.check_device(device)
    from tpregistry import api

    found = api.explain(named, batch=batch, derivatives=derivatives, device=device)
    _show(found, current(), json, source)
    raise typer.Exit(ONLY_HOST if any(_only_host(resolution) for resolution in found) else 0)


def _show(found: list[Resolution], settings: Any, json: bool, source: bool) -> None:
    from tpregistry.cli import explanation, explanation_text

    data = [explanation.of(resolution) | (explanation.generated(resolution) if source else {}) for resolution in found]
    chain = explanation.settings_chain(settings)
    if json:
        return output.print_json(SCHEMA, {"settings": chain, "problems": data})
    for one in data:
        explanation_text.print_problem(one)
    explanation_text.print_settings(chain)


def _only_host(resolution: Resolution) -> bool:
    return not any(candidate.ok and not candidate.host for candidate in resolution.candidates)
