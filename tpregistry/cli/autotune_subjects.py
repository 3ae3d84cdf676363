"""`autotune SUBJECT...`: here, in this process, one problem after the other."""

from __future__ import annotations

from typing import Any

from tpregistry import api
from tpregistry.cli import output, tuned
from tpregistry.decision import Decision


def run(subjects: list[Any], changes: dict[str, Any], *, json: bool) -> int:
    """Tune, print, and give the exit code. On Ctrl-C what is finished is printed before the interrupt goes on."""
    try:
        problems = [describe(decision) for decision in api.autotune(subjects, **changes)]
    except KeyboardInterrupt:
        _print([describe(decision) for decision in api.decisions()], json, complete=False)
        raise
    _print(problems, json, complete=True)
    return tuned.exit_code(problems)


def describe(decision: Decision) -> dict[str, Any]:
    """A decision with the evidence that it rests on."""
    host = next((candidate.name for candidate in decision.candidates if candidate.host), "")
    able = any(candidate.ok and not candidate.host for candidate in decision.candidates)
    return decision.to_json() | {"host": host, "able": able} | tuned.evidence(decision.record)


def _print(problems: list[dict[str, Any]], json: bool, *, complete: bool) -> None:
    if json:
        return output.print_json(tuned.SCHEMA, {"complete": complete, "problems": problems})
    if problems:
        tuned.print_problems(problems, "Tuned" if complete else "Tuned before the interrupt")
        output.note("`tpregistry explain DIGEST` shows every candidate.")
