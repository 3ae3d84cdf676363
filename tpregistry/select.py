"""Which backend for a problem: a pure function of the candidates, the settings and the record. No I/O.

The rule, in order:
1. ``off``: the host.
2. ``auto``, and the problem only scales copies by scalars (gates, norms): the host, in frameworks where no kernel is worth its
   call there.
3. Names in TP_BACKEND: the members of the first name that can do the problem, then those of the next, and so on. Among
   the members of a family, the record's order, else they are measured where that is allowed.
4. ``auto``: the winner of a valid record, among those that are not excluded now. Without a record, or where a backend has
   come since, all that can do the problem are measured, but those that say themselves that they cannot win there. Where a
   record is provisional, those between whom it is open are measured further. Where
   measuring is not allowed and there is no record, the host (nothing unmeasured is preferred to it).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tpregistry.backend import Reason
from tpregistry.problem import Problem
from tpregistry.settings import Settings, Tune
from tpregistry.store.evidence import flaw, gap
from tpregistry.store.record import Outcome, Record


class Source(StrEnum):
    """Where a decision came from."""

    RECORD = "record"
    """The winner of an earlier record."""
    TUNED = "tuned"
    """The winner of a record that was made just now."""
    FORCED = "forced"
    """The one name in TP_BACKEND."""
    PREFERENCE = "preference"
    """The first of several names in TP_BACKEND that can do the problem."""
    HEURISTIC = "heuristic"
    """The host: there is no record, and measuring was not allowed or there was nothing to measure."""
    RULE = "rule"
    """The host: the product only scales copies by scalars."""
    OFF = "off"
    """The host: TP_BACKEND=off."""
    FALLBACK = "fallback"
    """The host: no named backend can do the problem, and TP_FALLBACK allows it."""


@dataclass(frozen=True)
class Candidate:
    """A backend, and every reason why it cannot do the problem, or why it need not be tried unless it is named."""

    name: str
    family: str
    host: bool = False
    reasons: tuple[Reason, ...] = ()
    build_seconds: float = 0.0
    versions: tuple[tuple[str, str], ...] = ()
    on_request: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons

    def answers_to(self, name: str) -> bool:
        """Whether ``name`` is its own or its family's."""
        return name in (self.name, self.family)


@dataclass(frozen=True)
class Choice:
    """Backends to try, best first; ``measure`` asks that they be measured first, ``onward`` that a record be added to.

    Empty where none can do the problem.
    """

    order: tuple[str, ...]
    source: Source
    measure: bool = False
    onward: bool = False


def select(
    problem: Problem,
    candidates: tuple[Candidate, ...],
    settings: Settings,
    record: Record | None,
    *,
    may_measure: bool,
    scalings: bool = False,
) -> Choice:
    """The rule above. ``may_measure`` is false in programs of several processes and while something is captured; ``scalings``
    says that a framework's own code for those may be slow, see `Frame.scalings`."""
    host = next(candidate.name for candidate in candidates if candidate.host)
    if settings.backend.off:
        return Choice((host,), Source.OFF)
    if settings.backend.auto and problem.is_scaling and not scalings:
        return Choice((host,), Source.RULE)
    able = tuple(c for c in candidates if (c.ok and not any(c.answers_to(name) for name in settings.backend.excluded)) or c.host)
    known = record if record is not None and settings.tune is not Tune.FORCE and valid(record, candidates) else None
    tunable = may_measure and settings.tune in (Tune.MISS, Tune.FORCE)
    if settings.backend.names:
        return _by_name(settings, able, known, tunable)
    return _automatic(tuple(c for c in able if c.host or not c.on_request), known, tunable, host, settings.budget)


def valid(record: Record, candidates: tuple[Candidate, ...]) -> bool:
    """Whether the winner of a record is one by its evidence, and it and the host are here, in the versions that were measured."""
    here = {candidate.name: dict(candidate.versions) for candidate in candidates if candidate.ok or candidate.host}
    deciding = [entry for entry in record.entries if entry.backend in (record.winner, record.host)]
    return record.winner is not None and not flaw(record) and all(here.get(entry.backend) == entry.versions for entry in deciding)


def _by_name(settings: Settings, able: tuple[Candidate, ...], record: Record | None, tunable: bool) -> Choice:
    groups = [[c.name for c in able if c.answers_to(name)] for name in settings.backend.names]
    source = Source.FORCED if settings.backend.forced else Source.PREFERENCE
    leading = next((group for group in groups if group), [])
    if len(leading) > 1 and record is None and tunable:
        return Choice(tuple(leading), source, measure=True)
    ranked = [name for group in groups for name in _ranked(group, record)]
    return Choice(tuple(dict.fromkeys(ranked)), source)


def _ranked(names: list[str], record: Record | None) -> list[str]:
    medians = {entry.backend: entry.median_us for entry in record.entries if entry.timed_us} if record else {}
    return sorted(names, key=lambda name: (medians.get(name, float("inf")), name))


def _automatic(able: tuple[Candidate, ...], record: Record | None, tunable: bool, host: str, budget: float) -> Choice:
    names = tuple(candidate.name for candidate in able)
    within = {candidate.name for candidate in able if candidate.build_seconds <= budget}
    if tunable and len(names) > 1 and (record is None or any(_is_new(candidate, record) for candidate in able)):
        return Choice(names, Source.TUNED, measure=True)
    if record is None:
        return Choice((host,), Source.HEURISTIC)
    from tpregistry.tune import race, standing  # numpy, which commands that only list do without

    if tunable and (open_ones := standing.left(record, within)):
        return Choice(tuple(dict.fromkeys((*open_ones, str(record.winner), host))), Source.TUNED, measure=True, onward=True)
    right = {entry.backend for entry in record.entries if entry.backend == host or not gap(record.problem, entry)}
    samples = {name: times for name, times in standing.samples_of(record).items() if name in right.intersection(names)}
    best = record.winner if record.winner in names else race.winner(samples, host) if host in samples else host
    return Choice((str(best), host), Source.RECORD)


def _is_new(candidate: Candidate, record: Record) -> bool:
    """Whether a record knows nothing of a candidate; one that was not built for want of time is known."""
    entry = record.entry(candidate.name)
    return entry is None or entry.outcome is Outcome.UNSUPPORTED
