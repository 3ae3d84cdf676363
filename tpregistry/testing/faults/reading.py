"""Faults of reading: operands that do not lie side by side, and numbers of samples that fill vectors or leave some over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tpregistry.backend import Kernel
from tpregistry.plan import Plan
from tpregistry.problem import Problem
from tpregistry.testing.faults.faulty import Fault, Faulty, Misreading, Results
from tpregistry.testing.loopback import PlanKernel

WIDTH = 4
"""Samples that a vectorised kernel takes at once."""

Read = Callable[[Any], Any]


def _misreads(read: Read, problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    return Misreading(PlanKernel(plan), lambda tensor: read(tensor) if tensor.dim() == 2 and tensor.numel() else tensor)


def _rows_adjacent(tensor: Any) -> Any:
    """Rows whose numbers are adjacent are taken to be adjacent too."""
    return tensor if tensor.stride(1) != 1 else tensor.as_strided(tensor.shape, (tensor.shape[1], 1), tensor.storage_offset())


def _one_row_as_many(tensor: Any) -> Any:
    """One row that all samples share is read as a row for each."""
    return tensor if tensor.stride(0) else tensor.as_strided(tensor.shape, (tensor.shape[1], 1), tensor.storage_offset())


def _many_rows_as_one(tensor: Any) -> Any:
    """Of columns of a wider array the first row is read again and again."""
    sliced = tensor.stride(1) == 1 and tensor.stride(0) > tensor.shape[1]
    return tensor[:1].expand(tensor.shape) if sliced and len(tensor) > 1 else tensor


def _from_the_start(dense: bool, tensor: Any) -> Any:
    """Read from where the memory starts; where ``dense``, only what lies side by side."""
    meant = tensor.is_contiguous() if dense else True
    return tensor.as_strided(tensor.shape, tensor.stride(), 0) if meant else tensor


def _wrong_at(residue: int | None, problem: Problem, plan: Plan, generator: np.random.Generator) -> Kernel:
    """One result is wrong, at some order, where so many samples are left over when all vectors are full."""
    level = int(generator.integers(3 if problem.derivatives else 1))
    left = int(generator.integers(WIDTH)) if residue is None else residue

    def change(operands: Results, results: Results) -> Results:
        samples = len(operands[1])  # y has a row for each, in convolutions too
        return tuple(result * 1.5 for result in results) if samples > 1 and samples % WIDTH == left else results

    return Faulty(PlanKernel(plan), level, change)


def _has_rows(problem: Problem, plan: Plan) -> bool:
    return bool(plan.terms)


READING = {
    "ignores the row stride": Fault(partial(_misreads, _rows_adjacent), _has_rows),
    "ignores a row stride of 0": Fault(partial(_misreads, _one_row_as_many), _has_rows),
    "reads one row of a wider array": Fault(partial(_misreads, _many_rows_as_one), _has_rows),
    "ignores the storage offset": Fault(partial(_misreads, partial(_from_the_start, False)), _has_rows),
    "ignores the storage offset of dense operands": Fault(partial(_misreads, partial(_from_the_start, True)), _has_rows),
    "wrong at multiples of 4": Fault(partial(_wrong_at, 0), _has_rows),
    "wrong at one remainder of 4": Fault(partial(_wrong_at, None), _has_rows),
}
"""Of products, and of convolutions, whose samples are edges."""
