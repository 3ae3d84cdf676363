"""`run -- CMD...` at work."""

from __future__ import annotations

import json as codec
from collections import Counter
from pathlib import Path
from typing import Any

from tpregistry.cli import output
from tpregistry.cli.program import NOTHING_MET, Ran, run_program
from tpregistry.cli.subjects import SubjectError
from tpregistry.store.files import write_named

SCHEMA = "tpregistry.run/1"


def run(command: list[str], backend: str, report: Path | None, *, json: bool) -> int:
    """Run the program, say what ran, and give its exit code."""
    if report is not None and not report.absolute().parent.is_dir():
        raise SubjectError(f"--report {report}: there is no folder {report.absolute().parent}")
    ran = run_program(command, {"TP_BACKEND": backend}, quiet=json)
    output.note(f"tpregistry: {summary(ran)}")
    for told in ran.out_of_reach:
        output.note(f"tpregistry: {told}, and stays stock: import the module and call its function, or import it later")
    data = {"exit_code": ran.code, "decisions": ran.decisions, "left_to_host": dict(ran.left_to_host)}
    data["out_of_reach"] = ran.out_of_reach
    if report is not None:
        _write(report, data)
    if json:
        output.print_json(SCHEMA, data)
    return ran.code


def summary(ran: Ran) -> str:
    """Problems, calls of each backend, and calls that rules left to the host, in a line."""
    if not ran.decisions and not ran.left_to_host:
        return NOTHING_MET
    calls: Counter[str] = Counter()
    for one in ran.decisions:
        calls[one["backend"]] += one["calls"]
    problems = len({one["digest"] for one in ran.decisions})
    parts = [f"{name} {output.number(count, 'call')}" for name, count in calls.most_common()]
    left = ran.left_to_host.total()
    parts += [f"{output.number(left, 'call')} left to the host by rule"] if left else []
    return f"{output.number(problems, 'problem')}: {', '.join(parts)}"


def _write(report: Path, data: dict[str, Any]) -> None:
    """What cannot be written is said; the program has run, and its exit code counts."""
    try:
        write_named(report, codec.dumps({"schema": SCHEMA, **data}, indent=1).encode())
    except OSError as error:
        output.note(f"warning: --report {report} could not be written ({error.strerror})")
