"""Kernels that are wrong in one way each, to show that the gate notices: path, slot and operand are drawn at random."""

from __future__ import annotations

import numpy as np

from tpregistry.backend import Kernel
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Problem
from tpregistry.testing.faults.conduct import CONDUCT
from tpregistry.testing.faults.numbers import NUMBERS
from tpregistry.testing.faults.reading import READING

FAULTS = NUMBERS | READING | CONDUCT
"""All faults by name."""


def applies(problem: Problem, fault: str) -> bool:
    """Whether a problem has room for a fault: weights whose gradient may be off, an input that holds the result."""
    return FAULTS[fault].applies(problem, plan_tensor_product(problem))


def faulty_kernel(problem: Problem, fault: str, generator: np.random.Generator) -> Kernel:
    """A kernel of a problem with one of FAULTS in it."""
    return FAULTS[fault].make(problem, plan_tensor_product(problem), generator)


__all__ = ["FAULTS", "READING", "applies", "faulty_kernel"]
