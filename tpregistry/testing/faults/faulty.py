"""What faulty kernels are made of: an honest kernel, and a change that one order of its derivatives goes through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from tpregistry.backend import Kernel, OpaqueKernel
from tpregistry.plan import Plan
from tpregistry.problem import Problem
from tpregistry.testing.loopback import PlanKernel

Results = tuple[Any, ...]
Change = Callable[[tuple[Any, ...], Results], Results]
"""What a fault does: (operands, results) -> results."""

Make = Callable[[Problem, Plan, np.random.Generator], Kernel]


@dataclass(frozen=True)
class Fault:
    """A way to be wrong: makes a faulty kernel of a problem, where the problem has room for it."""

    make: Make
    applies: Callable[[Problem, Plan], bool] = lambda problem, plan: True


@dataclass
class Faulty:
    """An honest kernel whose results at one order of derivatives (0, 1 or 2) go through a change."""

    kernel: OpaqueKernel
    level: int
    change: Change
    engine: str = "faulty"

    def __call__(self, *operands: Any, **static: Any) -> Any:
        """Compute, then spoil."""
        results = self.kernel(*operands, **static)
        if self.level != 0:
            return results
        changed = self.change(operands, results if isinstance(results, tuple) else (results,))
        return changed if isinstance(results, tuple) else changed[0]

    def vjp(self) -> Faulty:
        """One order up."""
        return Faulty(cast(OpaqueKernel, self.kernel.vjp()), self.level - 1, self.change)


@dataclass
class Misreading:
    """An honest kernel that reads its operands in another way than they lie, in all orders of derivatives."""

    kernel: OpaqueKernel
    read: Callable[[Any], Any]
    engine: str = "faulty"

    def __call__(self, *operands: Any, **static: Any) -> Any:
        """Misread, then compute."""
        return self.kernel(*map(self.read, operands), **static)

    def vjp(self) -> Misreading:
        """One order up."""
        return Misreading(cast(OpaqueKernel, self.kernel.vjp()), self.read)


def changed_plan(plan: Plan, number: int, change: Callable[[np.ndarray], np.ndarray]) -> Kernel:
    """The kernel of a plan one of whose terms has other coefficients."""
    terms = list(plan.terms)
    terms[number] = replace(terms[number], coefficients=change(terms[number].coefficients))
    return PlanKernel(replace(plan, terms=tuple(terms)))


def some_operand(problem: Problem, generator: np.random.Generator, with_output: bool = False) -> int:
    """The number of an operand that is not empty: 0 x, 1 y, 2 w, 3 out."""
    sizes = (problem.irreps_in1.dim, problem.irreps_in2.dim, problem.weight_numel, problem.irreps_out.dim)
    return int(generator.choice([number for number, size in enumerate(sizes[: 3 + with_output]) if size]))
