"""Two twins in step: stock, and ours on some backend. Where they differ is a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.usage.sequences import Sequence
from tests.usage.steps import STEPS
from tests.usage.trace import Observation, Raised, Shown, Watch, observe
from tpregistry_e3nn.adapter import Adapter

ROUNDING = {"torch.float64": 1e-11, "torch.float32": 5e-5, "torch.bfloat16": 0.04, "torch.float16": 0.004}
"""As a fraction of the largest number of a tensor: the floors of the gate, ten times, for what a loss makes of them. Float32 may be
further off where stock is as far from the truth."""
SMALLEST = 1e-3
"""Numbers of which all are smaller are compared as if one had this size."""
AS_STOCK = 8.0
"""How many times as far from the truth as stock."""


@dataclass(frozen=True)
class Failure:
    """Where and how twins differ; ``kind`` is alike for failures that are alike."""

    place: int
    step: str
    kind: str
    said: str


def compare(sequence: Sequence, watch: Watch = lambda place: None) -> Failure | None:
    """Run the sequence in both worlds; the first difference, or None."""
    expected = observe(sequence, ours=False)
    with _patched():
        found = observe(sequence, ours=True, watch=watch)
    truth: list[list[Observation]] = []

    def at(place: int) -> Observation:
        """Stock's own, in float64: seldom needed."""
        if not truth:
            truth.append(observe(sequence, ours=False, wide=True))
        return truth[0][place]

    for place, (ours, stock) in enumerate(zip(found, expected, strict=True)):
        for part in ("outcome", "marks", "process", "state", "probe"):
            if part == "outcome" and _more(sequence.steps[place][0], ours.outcome, stock.outcome):
                continue
            said = difference(getattr(ours, part), getattr(stock, part), lambda: getattr(at(place), part))  # noqa: B023  called here
            if said is not None:
                return Failure(place, sequence.steps[place][0], f"{sequence.steps[place][0]}, {part}: {said[0]}", said[1])
    return None


def _more(step: str, ours: Any, stock: Any) -> bool:
    """A right value, where stock raises: see `Step`."""
    return STEPS[step].checked and isinstance(stock, Raised) and not isinstance(ours, Raised)


class _patched:
    """e3nn as tpregistry patches it."""

    def __enter__(self) -> None:
        self._adapter = Adapter()
        self._adapter.patch()

    def __exit__(self, *_: Any) -> None:
        self._adapter.unpatch()


def difference(ours: Any, stock: Any, truth: Callable[[], Any] = list) -> tuple[str, str] | None:
    """A kind of difference and its details, or None; ``truth`` is asked for stock's outcome in float64."""
    if isinstance(ours, Raised) or isinstance(stock, Raised):
        kinds = [side.kind if isinstance(side, Raised) else "a value" for side in (ours, stock)]
        caught = isinstance(ours, Raised) and kinds[1] in ours.kinds
        return None if caught else (f"{kinds[0]}, stock {kinds[1]}", _both(_told(ours), _told(stock)))
    if not isinstance(ours, list):
        return None if ours == stock else ("differs", _both(ours, stock))
    if len(ours) != len(stock):
        return "other things", _both(_told(ours), _told(stock))
    for n, (mine, theirs) in enumerate(zip(ours, stock, strict=True)):
        said = _item(mine, theirs, lambda: truth()[n])  # noqa: B023  called here
        if said is not None:
            return said[0], f"item {n}: {said[1]}"
    return None


def _both(ours: Any, stock: Any) -> str:
    return f"ours: {ours}\n      stock: {stock}"


def _told(side: Any) -> str:
    if isinstance(side, Raised):
        return f"{side.kind}: {side.message}"
    return ", ".join(str(item.kind) if isinstance(item, Shown) else str(item) for item in side)[:300]


def _item(mine: Any, theirs: Any, truth: Callable[[], Any]) -> tuple[str, str] | None:
    if not (isinstance(mine, Shown) and isinstance(theirs, Shown)):
        same = type(mine) is type(theirs) and mine == theirs
        return None if same else ("other things", _both(_brief(mine), _brief(theirs)))
    if (mine.kind, mine.dtype) != (theirs.kind, theirs.dtype):
        return "another kind of tensor", _both((mine.kind, mine.dtype), (theirs.kind, theirs.dtype))
    if mine.numbers is None or theirs.numbers is None or not mine.numbers.size:
        return None
    off = _apart(mine.numbers, theirs.numbers)
    if off <= ROUNDING.get(mine.dtype, 0.0):
        return None
    if mine.dtype == "torch.float32" and _as_near_as_stock(mine, theirs, truth):
        return None
    return "other numbers", f"{mine.kind} {mine.dtype}: {off:.1e} of the largest apart"


def _brief(item: Any) -> str:
    return str(item.kind) if isinstance(item, Shown) else str(item)


def _apart(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, as a fraction of the largest number; infinite where one alone is not finite."""
    finite = np.isfinite(theirs)
    if not np.array_equal(finite, np.isfinite(mine)):
        return float("inf")
    if not finite.any():
        return 0.0
    return float(np.abs(mine - theirs)[finite].max() / max(SMALLEST, np.abs(theirs[finite]).max()))


def _as_near_as_stock(mine: Shown, theirs: Shown, truth: Callable[[], Any]) -> bool:
    try:
        right = truth()
    except (IndexError, TypeError):
        return False
    if not isinstance(right, Shown) or right.numbers is None or right.numbers.shape != mine.numbers.shape:
        return False
    return _apart(mine.numbers, right.numbers) <= AS_STOCK * _apart(theirs.numbers, right.numbers) < 0.1
