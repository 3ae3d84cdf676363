"""A product by values: irreps through tables, values multiplied, and back through tables; portable and differentiable."""

from __future__ import annotations

from tpregistry.arrays import Array, arrays_of, flat
from tpregistry.irreps import Irreps
from tpregistry.problem import Problem
from tpregistry_gaunt.forms import Form, Key
from tpregistry_gaunt.tables import OUT, Tables, X, Y


class ValuesKernel:
    """out = back(multiply(values of x, values of y)); samples and channels are rows of the matrix products with tables."""

    def __init__(self, problem: Problem, form: Form, device: str, framework: str) -> None:
        self.form, self.arrays = form, arrays_of(framework, problem.dtype, device)
        self.engine = f"{self.arrays.engine}, {form}"
        found = Tables(problem, form)
        self._irreps, self._groups, self._pairs = found.irreps, found.groups, found.meetings
        self._tables = [
            {key: self.arrays.constant(table.T if slot == OUT else table) for key, table in tables.items()}
            for slot, tables in enumerate(found.tables)
        ]

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """x (batch, dim_in1), y (batch, dim_in2), w without elements -> out (batch, dim_out)."""
        f, g = self._values(X, x), self._values(Y, y)
        found: dict[int, Array] = {}
        for key, pairs in self._pairs.items():
            products = [self.form.multiply(f[a], g[b]) for a, b in pairs]
            members = self._groups[OUT][key]
            widths = [2 * self._irreps[OUT][n].l + 1 for n in members]
            pieces = self.form.back(self.arrays, sum(products[1:], products[0]), self._tables[OUT][key], widths)
            found |= dict(zip(members, pieces, strict=True))
        return self._beside(x, found)

    def _values(self, slot: int, operand: Array) -> dict[Key, Array]:
        found = {}
        for key, members in self._groups[slot].items():
            pieces = [piece(operand, self._irreps[slot], n) for n in members]
            found[key] = self.form.there(self.arrays, pieces, self._tables[slot][key])
        return found

    def _beside(self, x: Array, found: dict[int, Array]) -> Array:
        """Irreps in their order, zeros where no path leads."""
        items = enumerate(self._irreps[OUT])
        parts = [flat(found[n]) if n in found else self.arrays.zeros(x, item.dim) for n, item in items if item.dim]
        return self.arrays.beside(parts) if parts else self.arrays.zeros(x, 0)


def piece(operand: Array, irreps: Irreps, number: int) -> Array:
    """One irrep of an operand, shape (batch, copies, 2 l + 1)."""
    start, item = irreps.offsets[number], irreps[number]
    return operand[:, start : start + item.dim].reshape(len(operand), item.mul, 2 * item.l + 1)
