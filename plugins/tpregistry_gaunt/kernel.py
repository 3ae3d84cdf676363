"""A product by values: irreps through tables, values multiplied, and back through tables; portable and differentiable."""

from __future__ import annotations

from itertools import product

import numpy as np

from tpregistry.arrays import Array, arrays_of, cut, flat
from tpregistry.irreps import Irreps
from tpregistry.problem import Problem
from tpregistry.products import factors
from tpregistry_gaunt.forms import Form, Key

Groups = dict[Key, list[int]]


class ValuesKernel:
    """out = back(multiply(values of x, values of y)); samples and channels are rows of the matrix products with tables."""

    def __init__(self, problem: Problem, form: Form, device: str, framework: str) -> None:
        self.form, self.arrays = form, arrays_of(framework, problem.dtype, device)
        self.engine = f"{self.arrays.engine}, {form}"
        self._irreps = problem.irreps_in1, problem.irreps_in2, problem.irreps_out
        self._groups = [self._grouped(rep) for rep in self._irreps]
        self._pairs = self._meetings()
        self._lay_down(factors(problem))

    def _grouped(self, irreps: Irreps) -> Groups:
        """Irreps that have copies, by key."""
        groups: Groups = {}
        labels = self.form.labels(irreps)
        for number, item in enumerate(irreps):
            if item.mul:
                groups.setdefault(self.form.key(item, labels[number]), []).append(number)
        return groups

    def _meetings(self) -> dict[Key, list[tuple[Key, Key]]]:
        """For each key of the output, those of x and y whose product it is."""
        x, y, out = self._groups
        found = {key: [(a, b) for a, b in product(x, y) if _meet(a, b, self.form.sign) == key] for key in out}
        return {key: pairs for key, pairs in found.items() if pairs}

    def _lay_down(self, scales: list[float]) -> None:
        """One table per operand and key, rows or columns being the components of its irreps."""
        form, labels = self.form, [self.form.labels(rep) for rep in self._irreps]

        def table(slot: int, members: list[int]) -> np.ndarray:
            rep = self._irreps[slot]
            if slot < 2:
                return np.concatenate([flat(form.encoder(rep[n].l, labels[slot][n])) for n in members])
            blocks = [scales[n] * form.decoder(rep[n].l, labels[slot][n]) for n in members]
            return np.concatenate([block.reshape(-1, block.shape[-1]) for block in blocks], axis=1)

        self._tables = [
            {key: self.arrays.constant(table(slot, members)) for key, members in groups.items()}
            for slot, groups in enumerate(self._groups)
        ]

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """x (batch, dim_in1), y (batch, dim_in2), w without elements -> out (batch, dim_out)."""
        f, g = self._values(0, x), self._values(1, y)
        found: dict[int, Array] = {}
        for key, pairs in self._pairs.items():
            products = [self.form.multiply(f[a], g[b]) for a, b in pairs]
            members = self._groups[2][key]
            rows = self.form.rows(self.arrays, sum(products[1:], products[0])) @ self._tables[2][key]
            found |= dict(zip(members, cut(rows, [2 * self._irreps[2][n].l + 1 for n in members]), strict=True))
        return self._beside(x, found)

    def _values(self, slot: int, operand: Array) -> dict[Key, Array]:
        found = {}
        for key, members in self._groups[slot].items():
            rows = self.arrays.beside([piece(operand, self._irreps[slot], n) for n in members])
            found[key] = self.form.values(self.arrays, rows @ self._tables[slot][key])
        return found

    def _beside(self, x: Array, found: dict[int, Array]) -> Array:
        """Irreps in their order, zeros where no path leads."""
        items = enumerate(self._irreps[2])
        parts = [flat(found[n]) if n in found else self.arrays.zeros(x, item.dim) for n, item in items if item.dim]
        return self.arrays.beside(parts) if parts else self.arrays.zeros(x, 0)


def piece(operand: Array, irreps: Irreps, number: int) -> Array:
    """One irrep of an operand, shape (batch, copies, 2 l + 1)."""
    start, item = irreps.offsets[number], irreps[number]
    return operand[:, start : start + item.dim].reshape(len(operand), item.mul, 2 * item.l + 1)


def _meet(a: Key, b: Key, sign: int) -> Key:
    return tuple(sign * s * t for s, t in zip(a, b, strict=True))
