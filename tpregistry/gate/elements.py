"""What a symmetric contraction meets besides: rows of y that are one-hot, soft or zero, and whose gradients are wanted or not.

Models give it one-hot rows that want no gradients, and so do its main cases; kernels then go through the elements that are there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tpregistry.frame import Array, Operands
from tpregistry.problem import Problem

if TYPE_CHECKING:
    from tpregistry.gate.cases import Case


def one_hot(problem: Problem, rows: int, generator: np.random.Generator) -> Array:
    """Elements in no order; where there are several, some turn up often and some not at all."""
    elements = problem.irreps_in2.dim
    return np.eye(elements)[generator.integers(0, max(1, elements - elements // 4), rows) % elements]


def with_elements(problem: Problem, main: Operands, order: int) -> list[Case]:
    """The further cases; training on forces takes the gradient of x alone and then that of everything."""
    from tpregistry.gate.cases import Case

    if not problem.contracts:
        return []
    mixed = replace(main, values=main.values | {"y": _mixed(main.values["y"], main.values["b"])})
    found = {"soft elements": mixed, "gradients of elements": replace(mixed, constant=())}
    found |= {"forces": replace(main, first=("x",))} if order > 1 else {}
    return [Case(name, operands, order, like=name) for name, operands in found.items()]


def _mixed(hot: Array, soft: Array) -> Array:
    """In turn a row that is zero, one that is one-hot, one of all elements and one of some."""
    kinds = (np.arange(len(hot)) % 4)[:, None]
    some = soft * (np.arange(soft.shape[1]) % 2 == 0)
    return np.select([kinds == 0, kinds == 1, kinds == 2], [0 * hot, hot, soft], some)
