"""Powers of a signal on one grid, exact for correlation * L_in + L_out: to points once, and back from every power."""

from __future__ import annotations

import numpy as np

from tpregistry.arrays import Array, arrays_of, cut, flat
from tpregistry.irreps import Irreps
from tpregistry.many_body import reached, wanted
from tpregistry.problem import Problem
from tpregistry.so3.grids import fewest_points, product_degree
from tpregistry.so3.harmonics import spherical_harmonics
from tpregistry_gaunt.kernel import piece


class PowersKernel:
    """No transform between factors: a power is the last one times the signal, at each point."""

    def __init__(self, problem: Problem, device: str, framework: str) -> None:
        self._signal, self._out, self._reached = problem.irreps_in1, wanted(problem), reached(problem)
        self._arrays = arrays_of(framework, problem.dtype, device)
        top = [max(item.l for item in rep) for rep in (self._signal, self._out)]
        points = fewest_points(product_degree(*[top[0]] * problem.correlation, top[1]))
        self.engine = f"{self._arrays.engine}, {len(points)} points ({points.kind}), {problem.correlation} powers"
        harmonics = spherical_harmonics(max(top), points.points)
        self._there = self._arrays.constant(_columns(harmonics, self._signal).T)
        weighted = harmonics * points.weights[:, None]
        self._back = [self._arrays.constant(_columns(weighted, self._kept(n))) for n in range(problem.correlation)]

    def _kept(self, number: int) -> Irreps:
        """What a power has of the irreps that are wanted."""
        return Irreps(tuple(item for item in self._out if item.l in self._reached[number]))

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """x (batch, dim_in1), y and w without elements -> out (batch, dim_out): the powers side by side."""
        values = self._arrays.beside([piece(x, self._signal, n) for n in range(len(self._signal))]) @ self._there
        power, parts = values, []
        for number, table in enumerate(self._back):
            power = power * values if number else values
            parts += self._power(x, number, power @ table)
        return self._arrays.beside(parts)

    def _power(self, x: Array, number: int, rows: Array) -> list[Array]:
        """One power's irreps from rows (batch, copies, components), zeros for those that it lacks."""
        kept = self._kept(number)
        found = {item.l: flat(part) for item, part in zip(kept, cut(rows, [2 * item.l + 1 for item in kept]), strict=True)}
        return [found[item.l] if item.l in found else self._arrays.zeros(x, item.dim) for item in self._out]


def _columns(table: np.ndarray, irreps: Irreps) -> np.ndarray:
    """Those of the degrees of some irreps, in their order, of a table with those of all degrees."""
    return np.concatenate([table[:, item.l**2 : (item.l + 1) ** 2] for item in irreps] or [table[:, :0]], axis=1)
