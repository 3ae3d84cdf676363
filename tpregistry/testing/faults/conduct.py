"""Faults of conduct: right numbers in the wrong memory, state kept between calls, words on stdout, errors."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tpregistry.backend import Kernel
from tpregistry.plan import Plan
from tpregistry.problem import Problem
from tpregistry.testing.faults.faulty import Fault, Faulty, Results, some_operand
from tpregistry.testing.loopback import PlanKernel


def _changes_its_input(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """The result is right, but one input is doubled afterwards."""
    slot = some_operand(problem, generator)

    def change(operands: Results, results: Results) -> Results:
        operands[slot].detach().mul_(2)
        return results

    return Faulty(PlanKernel(plan), 0, change)


def _view_of_input(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """The result is right, but lies in the memory of the longer of x and y."""
    slot = int(problem.irreps_in2.dim > problem.irreps_in1.dim)

    def change(operands: Results, results: Results) -> Results:
        (result,) = results
        view = operands[slot].detach().view(-1)[: result.numel()].view(result.shape)
        return (view.copy_(result),)

    return Faulty(PlanKernel(plan), 0, change)


def _fits_an_input(problem: Problem, plan: Plan) -> bool:
    return problem.irreps_out.dim <= max(problem.irreps_in1.dim, problem.irreps_in2.dim)


def _reuses_memory(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """Results of the same shape share one buffer, so a later call overwrites an earlier result."""
    buffers: dict[Any, Any] = {}

    def change(operands: Results, results: Results) -> Results:
        return (buffers.setdefault(results[0].shape, results[0]).copy_(results[0]),)

    return Faulty(PlanKernel(plan), 0, change)


def _keeps_an_operand(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """What was prepared from the first x or y of a shape is used for all of that shape."""
    slot, honest = int(generator.integers(2)), PlanKernel(plan)
    kept: dict[Any, Any] = {}

    def change(operands: Results, results: Results) -> Results:
        stale = kept.setdefault(operands[slot].shape, operands[slot].detach().clone())
        return (honest(*operands[:slot], stale, *operands[slot + 1 :]),)

    return Faulty(honest, 0, change)


def _wrong_now_and_then(problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """Every fifth call is wrong."""
    calls = iter(range(1, 1 << 62))

    def change(operands: Results, results: Results) -> Results:
        return tuple(result * 1.5 for result in results) if next(calls) % 5 == 0 else results

    return Faulty(PlanKernel(plan), 0, change)


def _prints(level: int, problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """A word on standard output, which belongs to the program."""

    def change(operands: Results, results: Results) -> Results:
        print("compiling")
        return results

    return Faulty(PlanKernel(plan), level, change)


def _raises(level: int, at: int | None, problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """An error at one order of derivatives, or for one number of samples."""

    def change(operands: Results, results: Results) -> Results:
        if at is None or len(operands[0]) == at:
            raise RuntimeError("out of registers")
        return results

    return Faulty(PlanKernel(plan), level, change)


def _has_gradients(problem: Problem, plan: Plan) -> bool:
    return problem.derivatives > 0


CONDUCT = {
    "changes its input": Fault(_changes_its_input),
    "returns a view of its input": Fault(_view_of_input, _fits_an_input),
    "returns memory that it reuses": Fault(_reuses_memory),
    "keeps an operand of an earlier call": Fault(_keeps_an_operand),
    "wrong at every fifth call": Fault(_wrong_now_and_then),
    "prints to stdout": Fault(partial(_prints, 0)),
    "prints to stdout in backward": Fault(partial(_prints, 1), _has_gradients),
    "raises": Fault(partial(_raises, 0, None)),
    "raises in backward": Fault(partial(_raises, 1, None), _has_gradients),
    "raises in double backward": Fault(partial(_raises, 2, None), _has_gradients),
    "raises for one sample": Fault(partial(_raises, 0, 1)),
    "raises for no sample": Fault(partial(_raises, 0, 0)),
}
