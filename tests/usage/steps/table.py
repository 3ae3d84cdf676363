"""The table of steps. A step is a function of a world and a source of choices; what it returns or raises is compared."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.usage.world import World

Function = Callable[[World, random.Random], Any]


@dataclass(frozen=True)
class Step:
    """``weight`` says how often it is drawn; a ``slow`` one takes seconds, an ``inductor`` one many.

    A ``checked`` step compares its values itself with the right ones: there ours may give them where stock raises, which keeps
    other tensors for its backward.
    """

    function: Function
    weight: float
    slow: bool
    inductor: bool
    checked: bool


STEPS: dict[str, Step] = {}


def step(weight: float = 1.0, slow: bool = False, inductor: bool = False, checked: bool = False) -> Callable[[Function], Function]:
    """Put a function into the table under its own name."""

    def put(function: Function) -> Function:
        assert function.__name__ not in STEPS, f"two steps are called {function.__name__}"
        STEPS[function.__name__] = Step(function, weight, slow, inductor, checked)
        return function

    return put
