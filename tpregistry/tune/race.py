"""Interleaved timing: every contestant once per round, in random order, until they are told apart.

Drift of clocks and noisy neighbours hit all contestants of a round alike, so ratios are taken within rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Samples = dict[str, list[float]]

BAND = 0.02
"""Ratios within 1 +- BAND are ties."""

MARGIN = 0.1
"""A challenger must be faster than the incumbent by this much, beyond doubt: of a kernel's gain less arrives in a model,
where memory is colder and more of it is alive (a product measured 1.15 times faster left a whole MD step as it was)."""

MIN_ROUNDS, MAX_ROUNDS = 7, 60
SHORT_SECONDS = 0.1
SAMPLE_SECONDS = 1e-3
"""Short calls are repeated until one sample lasts this long."""


def race(thunks: Mapping[str, Callable[[], None]], deadline: float, incumbent: str, seed: int = 0) -> Samples:
    """Samples of up to 60 rounds; stops when it is decided who wins, or at the deadline.

    ``deadline`` is on the clock of `time.perf_counter`; three rounds are run whatever the time.
    """

    def enough(samples: Samples, rounds: int) -> bool:
        late = rounds >= 3 and time.perf_counter() > deadline
        return late or (rounds >= MIN_ROUNDS and rounds % 4 == 3 and decided(samples, incumbent))

    return sample(thunks, MAX_ROUNDS, enough, seed)


def sample(
    thunks: Mapping[str, Callable[[], None]],
    rounds: int,
    enough: Callable[[Samples, int], bool] = lambda samples, rounds: False,
    seed: int = 0,
) -> Samples:
    """Samples in µs per call by contestant, one per round each; ``enough`` may say after a round that no more are needed."""
    generator = np.random.default_rng(seed)
    first = {name: _warm_up(thunk) for name, thunk in thunks.items()}
    repeats = {name: int(np.clip(SAMPLE_SECONDS / max(seconds, 1e-7), 1, 200)) for name, seconds in first.items()}
    samples: Samples = {name: [] for name in thunks}
    for round_number in range(1, rounds + 1):
        for name in generator.permutation(sorted(thunks)):
            samples[name].append(1e6 * _time(thunks[name], repeats[name]))
        if enough(samples, round_number):
            break
    return samples


def _warm_up(thunk: Callable[[], None]) -> float:
    """Seconds of a call after one or, where calls are short, two others: allocators and lazy compilation settle."""
    thunk()
    seconds = _time(thunk, 1)
    return seconds if seconds > SHORT_SECONDS else _time(thunk, 1)


def _time(thunk: Callable[[], None], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        thunk()
    return (time.perf_counter() - start) / repeats


def decided(samples: Samples, incumbent: str) -> bool:
    """Whether the leader is told apart from each rival by the rule of `winner`: by the margin where one is the incumbent."""
    leader = min(samples, key=lambda name: float(np.median(samples[name])))
    lines = {incumbent: 1 / (1 - MARGIN)} if leader != incumbent else dict.fromkeys(samples, 1 - MARGIN)
    rivals = ((interval(samples[name], samples[leader]), lines.get(name)) for name in samples if name != leader)
    return all(_settled(*found, line) for found, line in rivals)


def _settled(low: float, high: float, line: float | None) -> bool:
    """Whether an interval lies on one side of a line; without one, whether it is a tie or none."""
    if line is not None:
        return low > line or high < line
    return low > 1 + BAND or high < 1 - BAND or (low > 1 - BAND and high < 1 + BAND)


def interval(ours: list[float], theirs: list[float], draws: int = 500) -> tuple[float, float]:
    """95 % confidence interval of the median of ours / theirs, by a bootstrap over rounds with a seed of its own."""
    ratios: NDArray[np.float64] = np.asarray(ours) / np.asarray(theirs)
    picks = np.random.default_rng(0).integers(0, len(ratios), (draws, len(ratios)))
    low, high = np.percentile(np.median(ratios[picks], axis=1), [2.5, 97.5])
    return float(low), float(high)


def winner(samples: Samples, incumbent: str) -> str:
    """The fastest that beats the incumbent beyond doubt and by the margin; of those that tie, the first by name.

    Without such a challenger the incumbent stays.
    """
    beaten = [name for name in samples if name != incumbent and interval(samples[name], samples[incumbent])[1] < 1 - MARGIN]
    if not beaten:
        return incumbent
    fastest = min(beaten, key=lambda name: float(np.median(samples[name])))
    ties = (name for name in sorted(beaten) if interval(samples[name], samples[fastest])[0] < 1 + BAND)
    return next(name for name in ties if np.median(samples[name]) < (1 + BAND) * np.median(samples[fastest]))
