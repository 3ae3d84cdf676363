"""From a problem to a decision: plugins, settings, store, selection, tuning, gate. The impure shell around `select`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tpregistry import discovery
from tpregistry.backend import Kernel, Reason
from tpregistry.building import build
from tpregistry.crashes import CRASHED, Crashes
from tpregistry.decision import Decision
from tpregistry.errors import HostRaised, NotTuned, Unsupported
from tpregistry.frame import Frame, Host
from tpregistry.problem import Problem
from tpregistry.progress import Progress
from tpregistry.select import Candidate, Choice, Source, select
from tpregistry.settings import Fallback, Settings, Tune
from tpregistry.store import Entry, Outcome, Record, open_store
from tpregistry.tune import Bench, Contestant, check_alone, tune
from tpregistry.verdicts import examine

UNMEASURED = (
    "no record for this device and these threads, and of several processes none measures: run `tpregistry autotune` first, in one"
)


@dataclass(repr=False)
class Resolution:
    """One run of the way from a problem to a decision."""

    problem: Problem
    host: Host
    frame: Frame
    device: str
    settings: Settings
    batch: int

    def __post_init__(self) -> None:
        self.environment = self.frame.environment(self.device) | {"host": self.host.name}  # before any plugin can change it
        self.plugins = discovery.backends(self.settings)
        discovery.check_request(self.settings.backend, self.plugins)
        self.store = open_store(self.settings.cache_dir, self.settings.plugins)
        self.crashes = Crashes(self.store.root, self.environment)
        examined = examine(self.problem, self.plugins, self.frame.name, self.device, self.host.name)
        self.candidates = tuple(self.crashes.leave_out(candidate) for candidate in examined)
        self.record = self.store.get(self.environment, self.problem)
        self.notes: list[str] = []
        self._measured = False

    def __repr__(self) -> str:
        choice = self.foresee(may_measure=False)
        head = f"{self.problem} -> {choice.order[0] if choice.order else 'none'} [{choice.source}]"
        return "\n".join([head, *(f"  {c.name}: {self._standing(c)}" for c in self.candidates)])

    def _standing(self, candidate: Candidate) -> str:
        """In a line: why it cannot, or what is known of its speed."""
        entry = self.record.entry(candidate.name) if self.record else None
        if candidate.reasons or entry is None:
            return "; ".join(map(str, candidate.reasons)) or candidate.on_request or "not measured yet"
        ratio = self.record.ratio(candidate.name) if self.record else None
        speed = f", {entry.median_us:.0f} µs, {ratio:.2f}x" if ratio else ""
        return f"{entry.outcome}{speed}" + "".join(f"; {reason}" for reason in entry.reasons)

    def decide(self) -> Decision:
        """Select, measure where that is asked for, then take the first backend that builds and passes."""
        choice = self._select()
        if choice.measure:
            self._tune(choice)
            choice = replace(self._select(self.settings_after_tuning()), source=choice.source)
        elif choice.source is Source.RECORD and self.record is not None:
            self.notes += self._unbuilt(self.record)
        elif choice.source is Source.HEURISTIC and not self.frame.may_measure():
            self.notes.append(UNMEASURED)
        self.notes += self._crashed()
        for name in choice.order:
            decision = self._try(name, choice)
            if decision is not None:
                return decision
        return self._give_up()

    def settings_after_tuning(self) -> Settings:
        """The same settings, but trusting the record that was just made."""
        return replace(self.settings, tune=Tune.OFF)

    def foresee(self, settings: Settings | None = None, *, may_measure: bool) -> Choice:
        """What `select` says, with what is known now; nothing runs."""
        return select(self.problem, self.candidates, settings or self.settings, self.record, may_measure=may_measure)

    def _select(self, settings: Settings | None = None) -> Choice:
        choice = self.foresee(settings, may_measure=self.frame.may_measure())
        able = any(candidate.ok and not candidate.host for candidate in self.candidates)
        if self.settings.tune is Tune.REQUIRE and choice.source is Source.HEURISTIC and able:
            raise NotTuned(f"TP_TUNE=require, but there is no valid record of {self.problem}; run `tpregistry autotune` first")
        return choice

    def _tune(self, choice: Choice) -> None:
        contestants = [self.contestant(name) for name in choice.order if name != self.host.name]
        skipped = [_unsupported(c) for c in self.candidates if not c.ok and not c.host]
        with Progress(f"tuning {self.problem}", self.settings) as progress:
            bench = self._bench(progress.show)
            try:
                found = tune(bench, contestants, self.versions(self.host.name), skipped)
            except HostRaised:
                raise
            except (Exception, SystemExit) as error:  # tuning must never end a program that runs without it
                warnings.warn(f"tpregistry: tuning {self.problem} failed ({type(error).__name__}: {error})", stacklevel=2)
                return
        self._measured = True
        self.notes += self._unbuilt(found)
        if found.winner is None and self.record is not None and self.record.winner is not None:
            return  # a budget too small to measure anything does not undo a record
        self._keep(found)
        failed = (e for e in found.entries if e.outcome in (Outcome.WRONG, Outcome.RAISED))
        self.notes += [f"{entry.backend}: {entry.reasons[0]}" for entry in failed]

    def _unbuilt(self, record: Record) -> list[str]:
        """How many that could be faster were not looked at for want of time: the decision is not the last word."""
        excluded = self.settings.backend.excluded
        able = {c.name for c in self.candidates if c.ok and not any(c.answers_to(name) for name in excluded)}
        left = sum(entry.outcome is Outcome.NOT_BUILT and entry.backend in able for entry in record.entries)
        some = "1 candidate" if left == 1 else f"{left} candidates"
        return [f"{some} not built within TP_BUDGET: run `tpregistry autotune`"] if left else []

    def _crashed(self) -> list[str]:
        """Those that ended a process, where any may be taken; where some are named, what speaks against these is said anyway."""
        asked, excluded = self.settings.backend.auto, self.settings.backend.excluded
        able = [c for c in self.candidates if asked and not any(c.answers_to(name) for name in excluded)]
        return [f"{c.name}: {reason}" for c in able for reason in c.reasons if reason.code == CRASHED]

    def _keep(self, record: Record) -> None:
        """Use a record from now on; one that cannot be written, whatever plugins put into it, is no reason to lose it."""
        self.record = record
        try:
            self.store.put(record)
        except Exception as error:
            message = f"the record of {self.problem} cannot be written ({type(error).__name__}: {error})"
            warnings.warn(f"tpregistry: {message}; the next process tunes anew: look for an update of its backends", stacklevel=2)

    def _bench(self, show: Callable[[str], None]) -> Bench:
        deadline = time.perf_counter() + self.settings.budget
        return Bench(self.problem, self.host, self.frame, self.device, deadline, self.batch, show, self._watch)

    def _watch(self, contestant: Contestant) -> AbstractContextManager[None]:
        return self.crashes.watch(contestant.name, contestant.versions, str(self.problem))

    def contestant(self, name: str) -> Contestant:
        """An able backend, as the tuner takes it."""
        candidate = next(c for c in self.candidates if c.name == name)
        backend = self.plugins[name].backend
        assert backend is not None, "a candidate that is able has a backend"
        return Contestant(name, backend, dict(candidate.versions), candidate.build_seconds)

    def versions(self, name: str) -> dict[str, str]:
        """Versions that the record of a candidate depends on."""
        return next((dict(c.versions) for c in self.candidates if c.name == name), {})

    def _try(self, name: str, choice: Choice) -> Decision | None:
        if name == self.host.name:
            self.notes += self._passed_over() if choice.source is Source.PREFERENCE else []
            return self._decision(name, None, self.host.kernel.engine, choice.source)
        entry = self._checked(name)
        if entry.outcome is not Outcome.OK:
            self.notes += [f"{name}: {reason}" for reason in entry.reasons]
            return None
        try:
            kernel = self.build(name)
        except (Exception, SystemExit) as error:  # a plugin may raise anything; the next candidate takes over
            self.notes.append(f"{name}: TP180 raised {type(error).__name__}: {error}")
            return None
        return self._decision(name, kernel, kernel.engine, choice.source)

    def _passed_over(self) -> list[str]:
        """Why those that the user named before the host cannot."""
        named = self.settings.backend.names
        earlier = named[: named.index(self.host.name)] if self.host.name in named else named
        asked = (c for c in self.candidates if not c.host and any(c.answers_to(name) for name in earlier))
        return [f"{c.name}: {'; '.join(map(str, c.reasons))}" for c in asked if c.reasons]

    def build(self, name: str) -> Kernel:
        """The kernel of an able backend; raises what its plugin raises."""
        return build(self.contestant(name).backend, self.problem, self.device, self.frame.name)

    def _checked(self, name: str) -> Entry:
        """The entry of a backend in the record if it is of these versions; else it is gated now, and that is kept.

        TP_TUNE=force trusts no record but the one that was just made.
        """
        trusted = self.record if self._measured or self.settings.tune is not Tune.FORCE else None
        entry = trusted.entry(name) if trusted else None
        if entry is None or entry.versions != self.versions(name) or entry.outcome in (Outcome.NOT_BUILT, Outcome.UNSUPPORTED):
            bench = replace(self._bench(lambda message: None), deadline=float("inf"))
            record, entry = check_alone(bench, self.contestant(name), self.record)
            self._keep(record)
        return entry

    def _decision(self, name: str, kernel: Kernel | None, engine: str, source: Source) -> Decision:
        ratio = self.record.ratio(name) if self.record else None
        why = "; ".join(self.notes)
        return Decision(self.problem, name, engine, source.value, why, ratio, 0, kernel, self.candidates, self.record)

    def _give_up(self) -> Decision:
        """Every backend that was asked for is out: TP_FALLBACK says whether that is an error."""
        asked = [c for c in self.candidates if any(c.answers_to(name) for name in self.settings.backend.names)]
        reasons = tuple(reason for c in asked for reason in c.reasons)
        message = f"TP_BACKEND={self.settings.backend.text} cannot do {self.problem}"
        if self.settings.fallback is Fallback.ERROR:
            failed = map(_reason, self.notes)
            raise Unsupported(message, (*reasons, *failed))
        self.notes += [str(reason) for reason in reasons]
        if self.settings.fallback is Fallback.WARN:
            warnings.warn(f"tpregistry: {message}; {self.host.name} runs. {'; '.join(self.notes)}", stacklevel=2)
        return self._decision(self.host.name, None, self.host.kernel.engine, Source.FALLBACK)


def _reason(note: str) -> Reason:
    """A note of a backend that was tried, "name: code words", as a reason."""
    name, _, reason = note.partition(": ")
    code, _, words = reason.partition(" ")
    return Reason(code, f"{name} {words}", "TP_FALLBACK=warn runs the host's own code")


def _unsupported(candidate: Candidate) -> Entry:
    return Entry(candidate.name, Outcome.UNSUPPORTED, dict(candidate.versions), reasons=tuple(map(str, candidate.reasons)))
