"""A record: every candidate's evidence and samples for one problem in one environment, and the winner."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from statistics import median
from typing import Any

from tpregistry.problem import Problem
from tpregistry.store.evidence import flaw
from tpregistry.store.shape import check

SCHEMA = "tpregistry.record/1"


class Outcome(StrEnum):
    """What became of a candidate."""

    OK = "ok"
    UNSUPPORTED = "unsupported"
    WRONG = "wrong"
    RAISED = "raised"
    NOT_BUILT = "not built"


@dataclass(frozen=True)
class Entry:
    """One candidate: outcome, all reasons against it, evidence of the gate, and raw samples (µs, one per round).

    ``digest`` is that of the code that was checked, where it was generated. A sample is None where the candidate took no part in
    a round.
    """

    backend: str
    outcome: Outcome
    versions: dict[str, str] = field(default_factory=dict)
    engine: str = ""
    reasons: tuple[str, ...] = ()
    evidence: dict[str, list[float]] = field(default_factory=dict)
    samples_us: tuple[float | None, ...] = ()
    build_seconds: float = 0.0
    digest: str = ""

    @property
    def timed_us(self) -> tuple[float, ...]:
        """Samples of the rounds in which it took part."""
        return tuple(sample for sample in self.samples_us if sample is not None)

    @property
    def median_us(self) -> float:
        """Median sample; infinite where nothing was measured."""
        return median(self.timed_us or (float("inf"),))

    @property
    def worst(self) -> tuple[str, float] | None:
        """The check that took most of what it was allowed, and that share: above 1 is wrong."""
        shares = ((name, _share(*pair)) for name, pair in self.evidence.items())
        return max(shares, key=lambda pair: pair[1], default=None)


@dataclass(frozen=True)
class Record:
    """What is known of one problem in one environment. ``winner`` is None where candidates were checked, not measured;
    ``starts`` is how many processes have measured so far.
    """

    problem: Problem
    environment: dict[str, str]
    host: str
    entries: tuple[Entry, ...]
    winner: str | None = None
    batch: int = 0
    seconds: float = 0.0
    created: str = ""
    tpregistry: str = ""
    starts: int = 1

    def entry(self, backend: str) -> Entry | None:
        """The entry of one backend."""
        return next((entry for entry in self.entries if entry.backend == backend), None)

    def ratio(self, backend: str) -> float | None:
        """How many times faster than the host a backend was: the median over rounds of the paired ratio."""
        ours, host = self.entry(backend), self.entry(self.host)
        if not (ours and host and ours.timed_us and host.timed_us):
            return None
        return median(h / o for h, o in zip(host.samples_us, ours.samples_us, strict=True) if h and o)

    def with_entry(self, entry: Entry) -> Record:
        """The same record with one entry added or replaced; a winner whose entry has no samples any more is none."""
        winner = self.winner if entry.timed_us or entry.backend != self.winner else None
        return replace(self, winner=winner, entries=(*(e for e in self.entries if e.backend != entry.backend), entry))

    def to_json(self) -> dict[str, Any]:
        """A JSON object that holds its own key, so that a foreign file is noticed."""
        data = asdict(self) | {"problem": self.problem.to_json(), "schema": SCHEMA, "digest": self.problem.digest}
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Inverse of `to_json`. Raises ValueError, KeyError or TypeError where ``data`` is no record of this schema, and ValueError
        where its winner is none: see `evidence.flaw`."""
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r}, not {SCHEMA!r}")
        check(data)
        fields = {key: value for key, value in data.items() if key not in ("schema", "digest")}
        entries = tuple(_entry(entry) for entry in data["entries"])
        record = cls(**(fields | {"problem": Problem.from_json(data["problem"]), "entries": entries}))
        if record.problem.digest != data["digest"]:
            raise ValueError("its digest is not that of its problem")
        if found := flaw(record):
            raise ValueError(found)
        return record


def _share(error: float, tolerance: float) -> float:
    """Error over tolerance; NaN counts as infinitely wrong."""
    return error / tolerance if error == error and tolerance > 0 else float("inf") if error != 0 else 0.0


def _entry(data: dict[str, Any]) -> Entry:
    fields: dict[str, Any] = data | {"reasons": tuple(data["reasons"]), "outcome": Outcome(data["outcome"])}
    fields["samples_us"] = tuple(None if one is None else float(one) for one in data["samples_us"])
    return Entry(**fields)
