"""Random sequences of steps, each from its seed alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.usage.steps import STEPS
from tests.usage.world import PRODUCTS

LENGTH = 10
SLOW_EVERY = 8
"""Of so many sequences one has steps that take seconds."""
INDUCTOR_EVERY = 100
"""Of so many one is compiled by Inductor, once."""


@dataclass(frozen=True)
class Sequence:
    """A product, its dtype and what is done to it: names of steps, each with the seed of its choices."""

    seed: int
    product: str
    dtype: str
    steps: tuple[tuple[str, int], ...]

    def compare(self, watch: Callable[[int], None]) -> Any:
        """See `twins.compare`."""
        from tests.usage.twins import compare

        return compare(self, watch)

    def without(self, names: set[str]) -> Sequence:
        """All steps but those."""
        return self.keeping(tuple(n for n, (name, _) in enumerate(self.steps) if name not in names))

    def keeping(self, places: tuple[int, ...]) -> Sequence:
        """Only some of the steps; they choose what they chose before."""
        return Sequence(self.seed, self.product, self.dtype, tuple(self.steps[n] for n in places))


def each(number: int) -> Sequence:
    """The sequences that have every step once, in its turn, after a call and gradients that bind a kernel."""
    name = list(STEPS)[number]
    choose = random.Random(number)
    steps = tuple((one, choose.getrandbits(31)) for one in ("double_grad", "call", name, "call_with_grad"))
    return Sequence(number, choose.choice(list(PRODUCTS)), choose.choice(("float64", "float32")), steps)


def sequence(seed: int, length: int = LENGTH) -> Sequence:
    """The sequence of a seed."""
    choose = random.Random(seed)
    slow = seed % SLOW_EVERY == 0
    names = [name for name, step in STEPS.items() if not step.inductor and (slow or not step.slow)]
    weights = [STEPS[name].weight * (3 if STEPS[name].slow else 1) for name in names]
    drawn = choose.choices(names, weights, k=length)
    if seed % INDUCTOR_EVERY == 0:
        drawn[choose.randrange(length)] = next(name for name, step in STEPS.items() if step.inductor)
    steps = tuple((name, choose.getrandbits(31)) for name in drawn)
    return Sequence(seed, choose.choice(list(PRODUCTS)), choose.choice(("float64", "float32")), steps)
