"""What a record leaves open: whom it has not timed, and who may yet be faster than its winner. Such a record is provisional.

A busy machine leaves time for a few rounds, and neighbours blur them. So the next process that may measure goes on where the last
one stopped, on those alone between whom it is open; after so many starts the record stands, and says what it could not tell.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tpregistry.store.record import Entry, Outcome, Record
from tpregistry.tune.interval import interval
from tpregistry.tune.race import MARGIN, Samples

STARTS = 4
"""Processes that measure one problem, each within a budget, before its record stands as it is."""


@dataclass(frozen=True)
class Rival:
    """A backend that may be faster than a record's winner: between ``low`` and ``high`` times as fast (95 %)."""

    name: str
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.name} {self.low:.2f} to {self.high:.2f} times as fast"


def samples_of(record: Record) -> Samples:
    """Of everybody that was timed and that nothing speaks against."""
    return {entry.backend: list(entry.samples_us) for entry in record.entries if entry.timed_us and not entry.reasons}


def rivals(record: Record) -> tuple[Rival, ...]:
    """Those that the rounds so far do not tell apart from the winner, by the margin of the race."""
    samples = samples_of(record)
    if record.winner not in samples:
        return ()
    others = (name for name in samples if name not in (record.winner, record.host))
    found = (Rival(name, *interval(samples[record.winner], samples[name])) for name in others)
    return tuple(rival for rival in found if rival.high > 1 / (1 - MARGIN))


def untimed(record: Record) -> tuple[str, ...]:
    """Those that were not built for want of time, or checked and not timed."""
    return tuple(entry.backend for entry in record.entries if _untimed(entry) and entry.backend != record.host)


def _untimed(entry: Entry) -> bool:
    passed = entry.outcome is Outcome.OK and not entry.reasons and not entry.timed_us
    return passed or entry.outcome is Outcome.NOT_BUILT


def left(record: Record, able: Collection[str]) -> tuple[str, ...]:
    """Whom the next start measures, beside winner and host: of the ``able``, while there are starts left."""
    if record.winner not in able or record.starts >= STARTS:
        return ()
    return tuple(name for name in (*untimed(record), *(rival.name for rival in rivals(record))) if name in able)


def words(record: Record, able: Collection[str]) -> str:
    """What is open between those that are ``able``, and when it will be told; empty where nothing is."""
    close = [str(rival) for rival in rivals(record) if rival.name in able]
    waiting = [f"{name} not timed yet" for name in untimed(record) if name in able]
    if not close and not waiting:
        return ""
    against = [f"{', '.join(close)} (95 %, {_rounds(record)})"] if close else []
    head = f"{_starts(record.starts)} of {STARTS}"
    said = "; ".join([*against, *waiting])
    if record.starts < STARTS:
        return f"provisional after {head}: {said}; the next start goes on"
    return f"not told apart in {head}: {said}; run `tpregistry autotune` on a quiet machine"


def _rounds(record: Record) -> str:
    entry = record.entry(record.winner or "")
    return f"{len(entry.timed_us) if entry else 0} rounds"


def _starts(count: int) -> str:
    return "1 start" if count == 1 else f"{count} starts"
