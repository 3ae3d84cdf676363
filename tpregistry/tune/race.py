"""Interleaved timing: every contestant once per round, in random order, until they are told apart.

Drift of clocks and noisy neighbours hit all contestants of a round alike, so ratios are taken within rounds. Who cannot win
any more leaves the race: on a busy machine the time is short, and belongs to those between whom it is open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from tpregistry.forking import pause
from tpregistry.tune.interval import SAFE, Times, centre, interval

Samples = dict[str, list[float | None]]
"""µs per call, one per round; None in rounds without this contestant."""

BAND = 0.02
"""Ratios within 1 +- BAND are ties."""

MARGIN = 0.1
"""A challenger must be faster than the incumbent by this much, beyond doubt: of a kernel's gain less arrives in a model,
where memory is colder and more of it is alive (a product measured 1.15 times faster left a whole MD step as it was)."""

LINE = 1 - BAND

MIN_ROUNDS, MAX_ROUNDS, FEWEST = 7, 60, 3
SHORT_SECONDS = 0.1
SAMPLE_SECONDS = 1e-3
"""Short calls are repeated until one sample lasts this long."""


def race(
    thunks: Mapping[str, Callable[[], None]], deadline: float, incumbent: str, seed: int = 0, known: Samples | None = None
) -> Samples:
    """Samples of up to 60 rounds; stops when it is decided who wins, or at the deadline.

    ``deadline`` is on the clock of `time.perf_counter`; three rounds are run whatever the time. ``known`` are samples of an
    earlier race, to which the new ones are added.
    """
    stopwatch = Stopwatch(thunks)
    return contest(stopwatch.measure, thunks, incumbent, lambda: time.perf_counter() > deadline, seed, known)


def sample(thunks: Mapping[str, Callable[[], None]], rounds: int, seed: int = 0) -> Samples:
    """Samples of a fixed number of rounds, one per round each."""
    order, stopwatch = np.random.default_rng(seed), Stopwatch(thunks)
    samples: Samples = {name: [] for name in thunks}
    for _ in range(rounds):
        _run(stopwatch.measure, samples, set(thunks), order)
    return samples


def contest(
    measure: Callable[[str], float],
    names: Iterable[str],
    incumbent: str,
    late: Callable[[], bool],
    seed: int = 0,
    known: Samples | None = None,
) -> Samples:
    """The rounds of a race, whatever takes the time: ``measure`` gives one sample in µs, ``late`` says that time is over."""
    samples, running, order = _onto(known or {}, names), set(names), np.random.default_rng(seed)
    for number in range(1, MAX_ROUNDS + 1):
        _run(measure, samples, running, order)
        if number < FEWEST:
            continue
        running -= {name for name in running - {incumbent} if beaten(name, samples, incumbent)}
        if len(running) < 2 or late() or (number >= MIN_ROUNDS and number % 4 == 3 and decided(samples, incumbent)):
            break
    return samples


def _onto(known: Samples, names: Iterable[str]) -> Samples:
    """Samples to go on from: newcomers took no part so far."""
    rounds = max(map(len, known.values()), default=0)
    return {name: [*known.get(name, [None] * rounds)] for name in (*known, *(name for name in names if name not in known))}


def _run(measure: Callable[[str], float], samples: Samples, running: set[str], order: np.random.Generator) -> None:
    """One round, in a random order."""
    found = {str(name): measure(str(name)) for name in order.permutation(sorted(running))}
    for name, times in samples.items():
        times.append(found.get(name))


class Stopwatch:
    """One sample of a contestant: a call, or where calls are short the mean of several."""

    def __init__(self, thunks: Mapping[str, Callable[[], None]]) -> None:
        first = {name: _warm_up(thunk) for name, thunk in thunks.items()}
        self._thunks = thunks
        self._repeats = {name: int(np.clip(SAMPLE_SECONDS / max(seconds, 1e-7), 1, 200)) for name, seconds in first.items()}

    def measure(self, name: str) -> float:
        """In µs per call."""
        pause()
        return 1e6 * _time(self._thunks[name], self._repeats[name])


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


def beaten(name: str, samples: Samples, incumbent: str) -> bool:
    """Whether a challenger cannot win any more: never ahead of the incumbent by the margin, or behind one that is."""
    if interval(samples[name], samples[incumbent], SAFE)[0] > 1 - MARGIN:
        return True
    ahead = (rival for rival in samples if rival not in (name, incumbent) and wins(samples[rival], samples[incumbent]))
    return any(interval(samples[name], samples[rival], SAFE)[0] > 1 + BAND for rival in ahead)


def wins(challenger: Times, incumbent: Times) -> bool:
    """Whether a challenger is ahead of the incumbent by the margin, and ahead beyond doubt."""
    return interval(challenger, incumbent, SAFE)[1] < LINE and centre(challenger, incumbent) < 1 - MARGIN


def decided(samples: Samples, incumbent: str) -> bool:
    """Whether `winner` would say the same after any number of further rounds, as far as can be told."""
    best = winner(samples, incumbent)
    return not any(may_beat(samples[name], samples[best], name == incumbent, best == incumbent) for name in samples if name != best)


def may_beat(rival: Times, best: Times, rival_is_incumbent: bool, best_is_incumbent: bool) -> bool:
    """Whether it is open who of two is faster: by the margin where one is the incumbent, else but for a tie."""
    low, high = interval(rival, best)
    if best_is_incumbent:
        return low < 1 - MARGIN
    return not rival_is_incumbent and low < 1 - BAND and high > 1 - BAND


def winner(samples: Samples, incumbent: str) -> str:
    """The fastest that beats the incumbent beyond doubt and by the margin; of those that tie, the first by name.

    Without such a challenger the incumbent stays.
    """
    ahead = [name for name in samples if name != incumbent and wins(samples[name], samples[incumbent])]
    if not ahead:
        return incumbent
    fastest = min(ahead, key=lambda name: centre(samples[name], samples[incumbent]))
    line = (1 + BAND) * centre(samples[fastest], samples[incumbent])
    ties = (name for name in sorted(ahead) if name == fastest or interval(samples[name], samples[fastest])[0] < 1 + BAND)
    return next(name for name in ties if centre(samples[name], samples[incumbent]) <= line)
