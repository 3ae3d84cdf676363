"""What is kept, written for a reader."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tpregistry.backend import Reason
from tpregistry.cli import output
from tpregistry.cli.output import Cell
from tpregistry.select import Candidate
from tpregistry.store import Entry, Outcome, Record

UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def print_everything(data: dict[str, Any]) -> None:
    """A row per record, and one per backend that has code."""
    records, code = data["records"], data["code"]
    output.print_heading("Records", f"{output.number(len(records), 'record')}, {size(_bytes(records))} in {data['folder']}")
    if records:
        header = ("digest", "winner", "vs host", "age", "device", "problem")
        output.print_rows([_record_row(one) for one in records], header, numbers=(2, 3))
    output.print_heading("Code", f"{output.number(sum(one['files'] for one in code), 'file')}, {size(_bytes(code))}")
    if code:
        output.print_rows([[one["backend"], f"{one['files']:,}", size(one["bytes"])] for one in code], numbers=(1, 2))


def _record_row(one: dict[str, Any]) -> list[Cell | str]:
    ratio = f"{one['ratio']:.2f}x" if one["ratio"] else "-"
    winner = Cell(one["winner"] or "not measured", output.STRONG if one["winner"] else output.QUIET)
    return [one["digest"][:8], winner, ratio, age(one["created"]), one["environment"].get("device", ""), one["problem"]]


def print_record(record: Record) -> None:
    """Where and when it was made, and every entry."""
    from tpregistry.cli import explanation, explanation_text

    output.print_heading(str(record.problem))
    rows: list[list[Cell | str]] = [[Cell("digest", output.QUIET), record.problem.digest]]
    output.print_rows([*rows, *explanation_text.record_rows(explanation.of_record(record))])
    output.print_line("")
    candidates = [explanation.of_candidate(_candidate(entry, record.host), record) for entry in record.entries]
    explanation_text.print_candidates(sorted(candidates, key=explanation.rank), record.winner)


def _candidate(entry: Entry, host: str) -> Candidate:
    """The backend as it was when the record was made."""
    refusals = entry.reasons if entry.outcome is Outcome.UNSUPPORTED else ()
    reasons = tuple(Reason(*text.partition(" ")[::2]) for text in refusals)
    return Candidate(entry.backend, entry.backend, entry.backend == host, reasons, 0.0, tuple(sorted(entry.versions.items())))


def counted(numbers: dict[str, int]) -> str:
    """What was or would be removed."""
    records = f"{output.number(numbers['records'], 'record')} ({size(numbers['record_bytes'])})"
    code = f"{output.number(numbers['code_files'], 'file')} of code ({size(numbers['code_bytes'])})"
    left = f"{output.number(numbers['leftovers'], 'leftover')} ({size(numbers['leftover_bytes'])})"
    texts = ((records, numbers["records"]), (code, numbers["code_files"]), (left, numbers["leftovers"]))
    return " and ".join(text for text, there in texts if there)


def age(created: str) -> str:
    """Time since then, in the largest unit that makes it at least one."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a time zone
        return "-"
    return next((f"{seconds / length:.0f} {unit}" for unit, length in UNITS if seconds >= length), "now")


def size(number: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def _bytes(found: list[dict[str, Any]]) -> int:
    return sum(one["bytes"] for one in found)
