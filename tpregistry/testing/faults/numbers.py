"""Faults in the numbers: a path, a slot, an order, a dtype, a batch or a range for which they are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tpregistry.backend import Kernel
from tpregistry.plan import Plan
from tpregistry.problem import Problem
from tpregistry.testing.faults.faulty import Fault, Faulty, Results, changed_plan, some_operand
from tpregistry.testing.loopback import PlanKernel

BLOCK = 128
"""Samples that a kernel with a wrong grid still gets right."""


def _wrong_sign(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """One path, of odd l1 + l2 + l3 where there is one, has the other sign, consistently in all derivatives."""
    odd = [n for n, term in enumerate(plan.terms) if sum((size - 1) // 2 for size in term.coefficients.shape) % 2]
    return changed_plan(plan, int(generator.choice(odd or range(len(plan.terms)))), lambda c: -c)


def _weight_gradient_off(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """One block of dw is too large by 1 %."""
    blocks = [place for place in problem.weight_slices if place is not None and place.start < place.stop]
    block = blocks[int(generator.integers(len(blocks)))]

    def change(operands: Results, results: Results) -> Results:
        results[2][..., block] *= 1.01
        return results

    return Faulty(PlanKernel(plan), 1, change)


def _second_order_off(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """One of the four results of double backward is too large by 1 %."""
    slot = some_operand(problem, generator, with_output=True)

    def change(operands: Results, results: Results) -> Results:
        results[slot].mul_(1.01)
        return results

    return Faulty(PlanKernel(plan), 2, change)


def _wrong_in_float32(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """In float32 one path's coefficients are too large by 0.1 %; every other dtype is right."""
    scale = 1.001 if problem.dtype == "float32" else 1.0
    return changed_plan(plan, int(generator.integers(len(plan.terms))), lambda c: c * scale)


def _rounded_coefficients(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """Coefficients of a cache that a float32 program filled."""
    terms = (replace(term, coefficients=_float32(term.coefficients)) for term in plan.terms)
    return PlanKernel(replace(plan, terms=tuple(terms)))


def _float32(coefficients: np.ndarray) -> np.ndarray:
    return coefficients.astype(np.float32).astype(np.float64)


def _rounding_shows(problem: Problem, plan: Plan) -> bool:
    """In float64, where rounding moves a coefficient of average size by more than any tolerance."""
    largest = max((abs(term.coefficients).max() for term in plan.terms), default=0.0)
    moved = (abs(term.coefficients - _float32(term.coefficients)).max() for term in plan.terms)
    return problem.dtype == "float64" and max(moved, default=0.0) > 1e-9 * largest


def _nan_for_one(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """One number of the result is NaN when there is one sample."""
    place = plan.terms[int(generator.integers(len(plan.terms)))].target.start

    def change(operands: Results, results: Results) -> Results:
        if len(operands[0]) == 1:
            results[0][0, place] = float("nan")
        return results

    return Faulty(PlanKernel(plan), 0, change)


def _wrong_beyond_a_block(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """Samples beyond the first block are not computed."""

    def change(operands: Results, results: Results) -> Results:
        results[0][BLOCK:] = 0
        return results

    return Faulty(PlanKernel(plan), 0, change)


def _saturates(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """Results are cut off at a magnitude that only large inputs reach."""

    def change(operands: Results, results: Results) -> Results:
        return (results[0].clamp(-3e4, 3e4),)

    return Faulty(PlanKernel(plan), 0, change)


def _reads_as_if_contiguous(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """Strides of one operand are not looked at."""
    slot, honest = some_operand(problem, generator), PlanKernel(plan)

    def change(operands: Results, results: Results) -> Results:
        tensor = operands[slot]
        dense = tensor.new_empty(tensor.shape).stride()
        misread = tensor.as_strided(tensor.shape, dense, tensor.storage_offset())
        return (honest(*operands[:slot], misread, *operands[slot + 1 :]),)

    return Faulty(honest, 0, change)


NUMBERS = {
    "wrong sign on one path": Fault(_wrong_sign),
    "one weight gradient block off by 1 %": Fault(
        _weight_gradient_off, lambda problem, plan: problem.derivatives * problem.weight_numel > 0
    ),
    "double backward off by 1 %": Fault(_second_order_off, lambda problem, plan: problem.derivatives > 0),
    "wrong in float32 only": Fault(_wrong_in_float32, lambda problem, plan: problem.dtype == "float32"),
    "coefficients from a cache of float32": Fault(_rounded_coefficients, _rounding_shows),
    "NaN for one sample": Fault(_nan_for_one),
    "wrong beyond a block of samples": Fault(_wrong_beyond_a_block, lambda problem, plan: problem.batch > BLOCK),
    "cuts off large results": Fault(_saturates),
    "ignores strides": Fault(_reads_as_if_contiguous),
}
