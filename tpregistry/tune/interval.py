"""How sure a ratio of two contestants' times is: its centre, and an interval of it, over the rounds in which both ran.

Of paired ratios on a logarithmic scale, by Wilcoxon's signed ranks (J. L. Hodges and E. L. Lehmann, Ann. Math. Statist. 34, 598
(1963)): neighbours on a machine make times skewed and heavy-tailed, but hit both alike, so that the ratio's logarithm is
symmetric. It needs a third less of rounds than the median's own interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import inf

import numpy as np
from numpy.typing import NDArray

Times = Sequence[float | None]
"""Of one contestant, one per round; None where it took no part."""

SURE, SAFE = 0.05, 0.001
"""Shares of intervals that may miss: where a mistake leaves a gain, and where it makes a program slower."""

STUDENT = {
    SURE: (12.71, 4.30, 3.18, 2.78),
    SAFE: (636.62, 31.60, 12.92, 8.61, 6.87, 5.96, 5.41, 5.04, 4.78),
}
"""Student's t, from two rounds to as many as are too few for ranks."""

SPREAD = 0.1
"""Of a ratio from round to round, at least, where few are known: measured beside neighbours it was 0.05 to 0.15, and three rounds
may agree by chance. So few rounds show large gains only."""

NORMAL = {SURE: 1.96, SAFE: 3.29}
MANY = 40
"""Rounds from which on the distribution of signed ranks is a normal one."""


def paired(ours: Times, theirs: Times) -> list[float]:
    """Ratios of the rounds in which both ran."""
    return [one / other for one, other in zip(ours, theirs, strict=True) if one is not None and other is not None]


def centre(ours: Times, theirs: Times) -> float:
    """Of ours / theirs: Hodges and Lehmann's estimate; infinite where no round had both."""
    averages = _averages(paired(ours, theirs))
    return float(np.exp(np.median(averages))) if len(averages) else inf


def interval(ours: Times, theirs: Times, miss: float = SURE) -> tuple[float, float]:
    """Of ours / theirs; everything, where there are too few rounds to say."""
    ratios = paired(ours, theirs)
    rank = _rank(len(ratios), miss)
    if rank < 0:
        return _of_few(ratios, miss)
    averages = np.sort(_averages(ratios))
    return float(np.exp(averages[rank])), float(np.exp(averages[-1 - rank]))


def _averages(ratios: list[float]) -> NDArray[np.float64]:
    """Of each pair of logarithms, and of each with itself."""
    logs = np.log(ratios)
    above, below = np.triu_indices(len(logs))
    return (logs[above] + logs[below]) / 2


@lru_cache(maxsize=256)
def _rank(rounds: int, miss: float) -> int:
    """The largest rank whose average and its mirror image hold the centre but for ``miss``; -1 where none does."""
    if rounds >= MANY:
        spread = (rounds * (rounds + 1) * (2 * rounds + 1) / 24) ** 0.5
        return int(rounds * (rounds + 1) / 4 - NORMAL[miss] * spread) - 1
    return int(np.searchsorted(np.cumsum(_signed_ranks(rounds)), miss / 2, side="right")) - 1


def _signed_ranks(rounds: int) -> NDArray[np.float64]:
    """Probability of each sum of signed ranks: every rank is in it or not, with equal chances."""
    chances = np.ones(1)
    for rank in range(1, rounds + 1):
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return chances


def _of_few(ratios: list[float], miss: float) -> tuple[float, float]:
    """Where ranks can say nothing, by Student's t, which is wider than it need be for tails heavier than the normal's."""
    if len(ratios) < 2:
        return 0.0, inf
    logs = np.log(ratios)
    half = max(STUDENT[miss][len(logs) - 2] * np.std(logs, ddof=1), NORMAL[miss] * SPREAD) / len(logs) ** 0.5
    low, high = np.exp(np.clip([logs.mean() - half, logs.mean() + half], -700, 700))
    return float(low), float(high)
