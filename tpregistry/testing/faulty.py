"""Kernels that are wrong in one way each, to show that the gate notices: path and slot are drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from tpregistry.backend import Kernel, OpaqueKernel
from tpregistry.plan import Plan, Term, plan_tensor_product
from tpregistry.problem import Problem
from tpregistry.testing.loopback import PlanKernel

Change = Callable[[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]]
"""What a fault does: (operands, results) -> results."""


@dataclass
class Faulty:
    """An honest kernel whose results at one order of derivatives (0, 1 or 2) go through a change."""

    kernel: OpaqueKernel
    level: int
    change: Change
    engine: str = "faulty"

    def __call__(self, *operands: Any) -> Any:
        """Compute, then spoil."""
        results = self.kernel(*operands)
        if self.level != 0:
            return results
        changed = self.change(operands, results if isinstance(results, tuple) else (results,))
        return changed if isinstance(results, tuple) else changed[0]

    def vjp(self) -> Faulty:
        """One order up."""
        return Faulty(cast(OpaqueKernel, self.kernel.vjp()), self.level - 1, self.change)


def faulty_kernel(problem: Problem, fault: str, generator: np.random.Generator) -> Kernel:
    """A kernel of a problem with one of FAULTS in it."""
    return FAULTS[fault](problem, plan_tensor_product(problem), generator)


def applies(problem: Problem, fault: str) -> bool:
    """Whether a problem has room for a fault: weights whose gradient may be off, an input that holds the result."""
    if fault == "one weight gradient block off by 1 %":
        return problem.weight_numel > 0
    if fault == "returns a view of its input":
        return problem.irreps_out.dim <= max(problem.irreps_in1.dim, problem.irreps_in2.dim)
    return True


def _wrong_sign(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """One path, of odd l1 + l2 + l3 where there is one, has the other sign, consistently in all derivatives."""
    odd = [n for n, term in enumerate(plan.terms) if sum((size - 1) // 2 for size in term.coefficients.shape) % 2]
    chosen = int(generator.choice(odd or range(len(plan.terms))))
    return PlanKernel(replace(plan, terms=_with(plan.terms, chosen, lambda c: -c)))


def _with(terms: tuple[Term, ...], chosen: int, change: Callable[[np.ndarray], np.ndarray]) -> tuple[Term, ...]:
    return tuple(
        replace(term, coefficients=change(term.coefficients)) if number == chosen else term for number, term in enumerate(terms)
    )


def _weight_gradient_off(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """One block of dw is too large by 1 %."""
    blocks = [place for place in problem.weight_slices if place is not None and place.start < place.stop]
    block = blocks[int(generator.integers(len(blocks)))]

    def change(operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        results[2][..., block] *= 1.01
        return results

    return Faulty(PlanKernel(plan), 1, change)


def _second_order_off(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """One of the four results of double backward is too large by 1 %."""
    sizes = (problem.irreps_in1.dim, problem.irreps_in2.dim, problem.weight_numel, problem.irreps_out.dim)
    slot = int(generator.choice([number for number, size in enumerate(sizes) if size]))

    def change(operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        results[slot].mul_(1.01)
        return results

    return Faulty(PlanKernel(plan), 2, change)


def _wrong_in_float32(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """In float32 one path's coefficients are too large by 0.1 %; every other dtype is right."""
    scale = 1.001 if problem.dtype == "float32" else 1.0
    return PlanKernel(replace(plan, terms=_with(plan.terms, int(generator.integers(len(plan.terms))), lambda c: c * scale)))


def _nan_at_one(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """One number of the result is NaN when there is one sample."""
    targets = [term.target for term in plan.terms]
    place = targets[int(generator.integers(len(targets)))].start

    def change(operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(operands[0]) == 1:
            results[0][0, place] = float("nan")
        return results

    return Faulty(PlanKernel(plan), 0, change)


def _mutates(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """The result is right, but one input is doubled afterwards."""
    sizes = (problem.irreps_in1.dim, problem.irreps_in2.dim, problem.weight_numel)
    slot = int(generator.choice([number for number, size in enumerate(sizes) if size]))

    def change(operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        operands[slot].detach().mul_(2)
        return results

    return Faulty(PlanKernel(plan), 0, change)


def _view_of_input(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """The result is right, but lies in the memory of the longer of x and y."""
    slot = int(problem.irreps_in2.dim > problem.irreps_in1.dim)

    def change(operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        (result,) = results
        view = operands[slot].detach().view(-1)[: result.numel()].view(result.shape)
        return (view.copy_(result),)

    return Faulty(PlanKernel(plan), 0, change)


def _reuses_memory(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """Results of the same shape share one buffer, so a later call overwrites an earlier result."""
    buffers: dict[Any, Any] = {}

    def change(operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        return (buffers.setdefault(results[0].shape, results[0]).copy_(results[0]),)

    return Faulty(PlanKernel(plan), 0, change)


FAULTS: dict[str, Callable[[Problem, Plan, np.random.Generator], Kernel]] = {
    "wrong sign on one path": _wrong_sign,
    "one weight gradient block off by 1 %": _weight_gradient_off,
    "double backward off by 1 %": _second_order_off,
    "wrong in float32 only": _wrong_in_float32,
    "NaN for one sample": _nan_at_one,
    "changes its input": _mutates,
    "returns a view of its input": _view_of_input,
    "returns memory that it reuses": _reuses_memory,
}
