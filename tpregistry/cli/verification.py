"""`verify` at work: the tour of the zoo, as a table and as data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tpregistry import hosts
from tpregistry.cli import output
from tpregistry.cli.list_backends import as_json
from tpregistry.cli.output import Cell
from tpregistry.cli.subjects import SubjectError
from tpregistry.discovery import Plugin
from tpregistry.frame import frame
from tpregistry.progress import Progress
from tpregistry.settings import current
from tpregistry.testing import Finding, Outcome, hygiene, problems, tour

SCHEMA = "tpregistry.verify/1"
FAULTY, NONE_SUPPORTED = 1, 3
SHADES = {"ok": output.GOOD, "unsupported": output.QUIET}


@dataclass(frozen=True)
class Chosen:
    """Which problems, and where."""

    dtypes: tuple[str, ...]
    only: str
    random: int
    seed: int
    device: str
    framework: str


def run(plugin: Plugin, chosen: Chosen, *, json: bool) -> int:
    """Look, print, and give the exit code. On Ctrl-C what is finished is printed before the interrupt goes on."""
    findings, seen = hygiene(plugin.name), []
    try:
        for one in () if plugin.trouble else _outcomes(plugin, chosen):
            seen.append(one)
    except KeyboardInterrupt:
        _show(plugin, chosen, findings, seen, json, complete=False)
        raise
    _show(plugin, chosen, findings, seen, json, complete=True)
    return _exit_code(findings, [one["state"] for one in seen])


def _outcomes(plugin: Plugin, chosen: Chosen) -> Iterator[dict[str, Any]]:
    wanted = problems(chosen.dtypes, chosen.only, chosen.random, chosen.seed)
    if not wanted:
        raise SubjectError(f"--only {chosen.only!r}: no problem of the zoo has that in its name; leave it out to see all")
    assert plugin.backend is not None, "verify refuses a plugin without one"
    adapter = hosts.adapter_for(*([chosen.framework] if chosen.framework else plugin.backend.face.frameworks))
    with Progress(f"checking {plugin.name}", current()) as progress:
        seen = tour(plugin.backend, wanted, adapter, frame(adapter.framework), chosen.device)
        for number, (name, problem, outcome) in enumerate(seen, 1):
            progress.show(f"{number} of {len(wanted)} problems")
            yield {"name": name, "dtype": problem.dtype, "problem": str(problem), "digest": problem.digest} | _plain(outcome)


def _plain(outcome: Outcome) -> dict[str, Any]:
    return asdict(outcome) | {"state": outcome.state.value}


def _exit_code(findings: tuple[Finding, ...], states: list[str]) -> int:
    if not all(finding.ok for finding in findings) or {"wrong", "raised"} & set(states):
        return FAULTY
    return 0 if "ok" in states else NONE_SUPPORTED


def _show(
    plugin: Plugin, chosen: Chosen, findings: tuple[Finding, ...], seen: list[dict[str, Any]], json: bool, *, complete: bool
) -> None:
    counts = dict(Counter(one["state"] for one in seen))
    if json:
        about = {"backend": plugin.name, "versions": plugin.versions, "trouble": [as_json(reason) for reason in plugin.trouble]}
        rest = {"hygiene": [asdict(finding) for finding in findings], "problems": seen, "counts": counts}
        return output.print_json(SCHEMA, about | {"device": chosen.device, "complete": complete} | rest)
    _print_plugin(plugin, findings)
    if seen:
        _print_problems(seen, chosen.device)
        summary = ", ".join(f"{number} {state}" for state, number in counts.items())
        output.print_heading("In all", summary + ("" if complete else ", then interrupted"))


def _print_plugin(plugin: Plugin, findings: tuple[Finding, ...]) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in plugin.versions.items())
    output.print_heading(f"Plugin {plugin.name}", versions)
    output.print_rows([[Cell("ok" if f.ok else "fail", output.GOOD if f.ok else output.BAD), f.name, f.text] for f in findings])
    for reason in plugin.trouble:
        output.print_line(Cell(f"  {reason.code} ", output.CAREFUL), reason.message, Cell(f": {reason.hint}", output.QUIET))


def _print_problems(seen: list[dict[str, Any]], device: str) -> None:
    output.print_heading("Problems", f"on {device}")
    header = ("problem", "verdict", "error/allowed", "seconds")
    output.print_rows([_row(one) for one in seen], header, numbers=(3,))
    for one in seen:
        if one["state"] in ("wrong", "raised"):
            first, *others = one["reasons"]
            more = f" (and {len(others)} more: --json)" if others else ""
            output.print_line(Cell(f"  {one['name']}: ", output.STRONG), Cell(first, output.BAD), Cell(more, output.QUIET))
    refusals = Counter(reason for one in seen if one["state"] == "unsupported" for reason in one["reasons"])
    for reason, number in refusals.items():
        output.print_line(Cell(f"  {number} unsupported: ", output.STRONG), Cell(reason, output.QUIET))


def _row(one: dict[str, Any]) -> list[Cell | str]:
    codes = [reason.split()[0] for reason in one["reasons"]] if one["state"] == "unsupported" else []
    verdict = Cell(" ".join([one["state"], *codes]), SHADES.get(one["state"], output.BAD))
    worst = "-" if one["worst"] is None else f"{_share(one['worst'])} ({one['check']})"
    return [one["name"], verdict, worst, f"{one['seconds']:.1f}" if one["seconds"] else "-"]


def _share(worst: float) -> str:
    return f"{worst:.2f}" if worst < 1e3 else f"{worst:.0e}" if math.isfinite(worst) else "not finite"
