"""Tuning one problem: build, check, race, record. The host always competes; nothing unchecked is timed."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tpregistry import __version__
from tpregistry.backend import Backend, Kernel
from tpregistry.building import build
from tpregistry.errors import HostRaised
from tpregistry.frame import Frame, Host
from tpregistry.gate import Yardstick, verify
from tpregistry.gate.cases import draw, fitting_batch
from tpregistry.problem import Problem
from tpregistry.store.record import Entry, Outcome, Record
from tpregistry.tune.race import BAND, Samples, race, winner

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Contestant:
    """A backend that says it can do the problem."""

    name: str
    backend: Backend
    versions: dict[str, str]
    build_seconds: float = 0.0


@dataclass(frozen=True)
class Bench:
    """Where and how a problem is checked and measured: on ``batch`` samples, those of the call that asks for it.

    The bucket's own size would not do: on a CPU, results beyond the allocator's limits cost page faults, and ratios change.
    ``watch`` is entered while a contestant is checked.
    """

    problem: Problem
    host: Host
    frame: Frame
    device: str
    deadline: float
    batch: int
    progress: Progress = lambda message: None
    watch: Callable[[Contestant], AbstractContextManager[None]] = lambda contestant: nullcontext()


def tune(bench: Bench, contestants: Sequence[Contestant], host_versions: dict[str, str], skipped: Sequence[Entry]) -> Record:
    """Check and measure; ``skipped`` are entries of candidates that could not take part. Leaves no trace in the caller."""
    start = time.perf_counter()
    environment = _environment(bench)
    record = bench.frame.isolated(lambda: _tune(bench, contestants, host_versions, environment))
    return replace(record, entries=(*record.entries, *skipped), seconds=time.perf_counter() - start)


def _tune(bench: Bench, contestants: Sequence[Contestant], host_versions: dict[str, str], environment: dict[str, str]) -> Record:
    entries, kernels = checked(bench, contestants, host_versions)
    batch = fitting(bench)
    bench.progress(f"timing {', '.join(kernels)} on {batch} samples")
    contested = len(kernels) > 1
    samples = race(thunks(bench, kernels, batch, bench.problem.derivatives), bench.deadline, bench.host.name) if contested else {}
    unbuilt = any(entry.outcome is Outcome.NOT_BUILT for entry in entries.values())
    best, slower = best_of(bench, kernels, samples, batch) if samples else (None if unbuilt else bench.host.name, {})
    timed = (replace(e, samples_us=tuple(samples.get(n, ())), reasons=e.reasons + slower.get(n, ())) for n, e in entries.items())
    return _record(bench, tuple(timed), best, batch, environment)


def best_of(bench: Bench, kernels: dict[str, Kernel], samples: Samples, batch: int) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The winner, if it is not slower than the host in what the program may ask of it as well; else the next, and why not.

    A kernel may win with gradients and lose without.
    """
    left, slower = dict(samples), {}
    orders = bench.frame.other_orders(bench.problem.derivatives)
    while (best := winner(left, bench.host.name)) != bench.host.name:
        reasons = (_slower(bench, kernels, best, batch, order) for order in orders)
        slower[best] = tuple(filter(None, reasons))
        if not slower[best]:
            break
        del left[best]
    return best, slower


def _slower(bench: Bench, kernels: dict[str, Kernel], name: str, batch: int, order: int) -> str:
    two = {each: kernels[each] for each in (bench.host.name, name)}
    samples = race(thunks(bench, two, batch, order), bench.deadline, bench.host.name)
    ratio = median(host / ours for host, ours in zip(samples[bench.host.name], samples[name], strict=True))
    return f"TP171 {ratio:.2f} times the host with derivatives of order {order}" if ratio < 1 - BAND else ""


def checked(
    bench: Bench, contestants: Sequence[Contestant], host_versions: dict[str, str]
) -> tuple[dict[str, Entry], dict[str, Kernel]]:
    """Entries of the host and of every contestant, and the kernels of those that pass the gate, by name."""
    yardstick = Yardstick(bench.problem, bench.host, bench.frame, bench.device)
    host = Entry(bench.host.name, Outcome.OK, host_versions, bench.host.kernel.engine)
    entries, kernels = {host.backend: host}, {host.backend: bench.host.kernel}
    for contestant in sorted(contestants, key=lambda c: c.build_seconds):  # a small budget covers as many as it can
        bench.progress(f"checking {contestant.name}")
        entries[contestant.name], kernel = check(bench, contestant, yardstick)
        if kernel is not None:
            kernels[contestant.name] = kernel
    return entries, kernels


def fitting(bench: Bench) -> int:
    """As many samples as the bench asks for and memory allows."""
    return fitting_batch(bench.problem, bench.batch, bench.frame.free_bytes(bench.device))


def check(bench: Bench, contestant: Contestant, yardstick: Yardstick) -> tuple[Entry, Kernel | None]:
    """Build and gate one candidate; whatever it raises is an outcome."""
    entry = Entry(contestant.name, Outcome.NOT_BUILT, contestant.versions)
    if time.perf_counter() + contestant.build_seconds > bench.deadline:
        return replace(entry, reasons=("TP170 not built within TP_BUDGET: run `tpregistry autotune`",)), None
    with bench.watch(contestant):
        return _check(bench, contestant, yardstick, entry)


def _check(bench: Bench, contestant: Contestant, yardstick: Yardstick, entry: Entry) -> tuple[Entry, Kernel | None]:
    start, stage = time.perf_counter(), "while it was built"
    try:
        kernel = build(contestant.backend, bench.problem, bench.device, bench.frame.name)
        engine, stage = kernel.engine, "in the gate"
        evidence = verify(kernel, yardstick)
    except HostRaised:
        raise
    except (Exception, SystemExit) as error:  # a plugin may raise anything; the program goes on with the next candidate
        where = " ".join([stage, *getattr(error, "__notes__", ())])
        reason = f"TP180 raised {type(error).__name__} {where}{_place(error, contestant.backend)}: {error}"
        return replace(entry, outcome=Outcome.RAISED, reasons=(reason,)), None
    outcome = Outcome.OK if evidence.ok else Outcome.WRONG
    reasons = tuple(f"TP190 wrong: {failure}" for failure in evidence.failures)
    done = replace(entry, outcome=outcome, engine=engine, reasons=reasons, evidence=evidence.to_json())
    return replace(done, build_seconds=time.perf_counter() - start), kernel if evidence.ok else None


def _place(error: BaseException, backend: Backend) -> str:
    """Where in its plugin's own code an error came from."""
    package = type(backend).__module__.partition(".")[0]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if package in Path(frame.filename).with_suffix("").parts]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def thunks(bench: Bench, kernels: dict[str, Kernel], batch: int, order: int) -> dict[str, Callable[[], None]]:
    """A call of each kernel with derivatives up to ``order``, all on the same operands."""
    operands, dtype = draw(bench.problem, batch, seed=7), bench.problem.dtype
    return {name: bench.frame.thunk(kernel, operands, dtype, bench.device, order) for name, kernel in kernels.items()}


def _environment(bench: Bench) -> dict[str, str]:
    """Read before any plugin runs, as it is where the record is looked up: kernels may leave other threads behind."""
    return bench.frame.environment(bench.device) | {"host": bench.host.name}


def _record(bench: Bench, entries: tuple[Entry, ...], best: str | None, batch: int, environment: dict[str, str]) -> Record:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(bench.problem, environment, bench.host.name, entries, best, batch, 0.0, now, __version__)


def check_alone(bench: Bench, contestant: Contestant, known: Record | None) -> tuple[Record, Entry]:
    """Gate one backend without timing it (it was forced); the evidence is added to what is known of the problem."""
    environment = _environment(bench)
    yardstick_entry = bench.frame.isolated(
        lambda: check(bench, contestant, Yardstick(bench.problem, bench.host, bench.frame, bench.device))[0]
    )
    record = known or _record(bench, (), None, 0, environment)
    return record.with_entry(yardstick_entry), yardstick_entry
