"""What both forms of `autotune` share: outcomes of tuning as data, as exit code, and as a table."""

from __future__ import annotations

from typing import Any

from tpregistry.cli import output
from tpregistry.cli.output import Cell
from tpregistry.store import Outcome, Record

ONLY_HOST, UNFINISHED = 3, 4
SCHEMA = "tpregistry.autotune/1"


def evidence(record: Record | None) -> dict[str, Any]:
    """What a record says of its candidates, by outcome, and what it depends on."""
    if record is None:
        return {"outcomes": {}, "notes": [], "seconds": None}
    outcomes = {entry.backend: entry.outcome.value for entry in record.entries}
    telling = [entry for entry in record.entries if entry.reasons and entry.outcome is not Outcome.UNSUPPORTED]
    notes = [f"{entry.backend}: {reason}" for entry in telling for reason in entry.reasons]
    return {"outcomes": outcomes, "notes": notes, "seconds": record.seconds}


def exit_code(problems: list[dict[str, Any]]) -> int:
    """The documented code; a budget that was too small says most, for it can be mended."""
    measurable = [one for one in problems if one["source"] not in ("rule", "off")]
    return max((_code(one) for one in measurable), default=0)


def _code(one: dict[str, Any]) -> int:
    """An own entry for the host is always there where anything was measured."""
    ours = [outcome for name, outcome in one["outcomes"].items() if name != one["host"]]
    if Outcome.NOT_BUILT.value in ours or (not one["outcomes"] and one["able"]):
        return UNFINISHED
    return 0 if Outcome.OK.value in ours else ONLY_HOST


def print_problems(problems: list[dict[str, Any]], title: str, *, calls: bool = False) -> None:
    """A line per problem, the reasons below, and where to read more."""
    output.print_heading(title)
    header = ("digest", "backend", "vs host", "source", *(("calls",) if calls else ()), "checked", "problem")
    rows = [_row(one, calls) for one in problems]
    output.print_rows(rows, header, numbers=(2, 4) if calls else (2,))
    for one in problems:
        for text in (*one["notes"], *((one["why"],) if one["why"] and not one["notes"] else ())):
            output.print_line(Cell(f"  {one['digest'][:8]} ", output.STRONG), Cell(text, output.CAREFUL))


def _row(one: dict[str, Any], calls: bool) -> list[Cell | str]:
    ours = [outcome for outcome in one["outcomes"].values() if outcome != Outcome.UNSUPPORTED.value]
    checked = f"{ours.count(Outcome.OK.value)} of {len(ours)}" if ours else "-"
    faster = Cell(f"{one['ratio']:.2f}x" if one["ratio"] else "-", output.GOOD if (one["ratio"] or 0) > 1 else "")
    counted = [f"{one['calls']:,}"] if calls else []
    return [one["digest"][:8], Cell(one["backend"], output.STRONG), faster, one["source"], *counted, checked, one["problem"]]
