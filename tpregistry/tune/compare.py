"""Comparing by order of derivatives: every backend that passes the gate beside the host, for people to read.

The race of the tuner, but for a fixed number of rounds; nothing is decided or recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tpregistry.store.record import Entry
from tpregistry.tune.interval import interval, paired
from tpregistry.tune.race import Samples, sample
from tpregistry.tune.tuner import Bench, Contestant, checked, fitting, thunks

PATTERNS = ("forward", "with gradients", "force pattern")
"""What `Frame.thunk` does at order 0, 1 and 2."""


@dataclass(frozen=True)
class Timing:
    """Median µs of a call, and how many times faster than the host: median over rounds, and its 95 % interval."""

    median_us: float
    ratio: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Every contestant's entry, the host's first, and samples in µs by pattern and backend, on ``batch`` samples per call."""

    host: str
    entries: tuple[Entry, ...]
    batch: int
    samples: dict[str, Samples]

    def timing(self, pattern: str, backend: str) -> Timing | None:
        """What one backend took for a pattern; None where it was not timed."""
        ours, host = self.samples[pattern].get(backend), self.samples[pattern][self.host]
        if ours is None:
            return None
        times = [one for one in ours if one is not None]
        return Timing(median(times), median(paired(host, ours)), interval(host, ours))


def compare(bench: Bench, contestants: Sequence[Contestant], host_versions: dict[str, str], rounds: int) -> Comparison:
    """Check every contestant, and time those that pass in each pattern up to the problem's derivatives."""
    return bench.frame.isolated(lambda: _compare(bench, contestants, host_versions, rounds))


def _compare(bench: Bench, contestants: Sequence[Contestant], host_versions: dict[str, str], rounds: int) -> Comparison:
    entries, kernels = checked(bench, contestants, host_versions)
    batch, samples = fitting(bench), {}
    for order, pattern in enumerate(PATTERNS[: bench.problem.derivatives + 1]):
        bench.progress(f"timing {pattern}")
        samples[pattern] = sample(thunks(bench, kernels, batch, order), rounds)
    return Comparison(bench.host.name, tuple(entries.values()), batch, samples)
