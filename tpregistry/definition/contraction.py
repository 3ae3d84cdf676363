"""A symmetric contraction as it is written: every monomial, times its weighted coefficient, into its component of the output."""

from __future__ import annotations

import numpy as np

from tpregistry.arrays import Array, arrays_of, cut, flat
from tpregistry.contraction import Table, table_of
from tpregistry.problem import Problem


class ContractionKernel:
    """Made of the framework's differentiable functions; monomials of all nodes and channels lie in memory."""

    def __init__(self, problem: Problem, device: str, framework: str) -> None:
        self.arrays = arrays_of(framework, problem.dtype, device)
        self.engine = self.arrays.engine
        self._problem, table = problem, table_of(problem)
        self._width = problem.irreps_in1.dim // problem.channels
        self._paths = problem.weight_numel // problem.channels // problem.irreps_in2.dim
        self._coefficients = self.arrays.constant(_dense(table, self._paths))
        self._factors = [self.arrays.index(tuple(factors)) for factors in _factors(table, self._width)]
        sums = np.equal.outer(table.outputs, np.arange(problem.irreps_out.dim // problem.channels))
        self._sums = self.arrays.constant(sums.astype(np.float64))

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """x (nodes, channels * components), y (nodes, elements), w (weight_numel,) -> out (nodes, dim_out)."""
        elements, channels = self._problem.irreps_in2.dim, self._problem.channels
        powers = x.reshape(len(x), channels, self._width)
        ones = self.arrays.zeros(x, channels, 1) + 1
        powers = self.arrays.beside([powers, ones])
        weighed = self.arrays.einsum("mp,epc->mec", self._coefficients, w.reshape(elements, self._paths, channels))
        monomials = self.arrays.einsum("mec,ze->zcm", weighed, y)
        for factors in self._factors:
            monomials = monomials * powers[:, :, factors]
        out = self.arrays.einsum("zcm,mk->zck", monomials, self._sums)
        sizes = [2 * item.l + 1 for item in self._problem.irreps_out]
        return self.arrays.beside([flat(part) for part in cut(out, sizes)])


def _dense(table: Table, paths: int) -> np.ndarray:
    """Coefficients, (monomials, paths)."""
    found = np.zeros((len(table), paths))
    rows = np.repeat(np.arange(len(table)), np.diff(table.starts))
    found[rows, table.paths] = table.values
    return found


def _factors(table: Table, one: int) -> list[tuple[int, ...]]:
    """The first factor of all monomials, the second and so on; ``one`` where there is none left."""
    longest = max(map(len, table.factors), default=0)
    return [tuple(factors[n] if n < len(factors) else one for factors in table.factors) for n in range(longest)]
