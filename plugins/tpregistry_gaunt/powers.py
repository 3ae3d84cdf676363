"""Powers of a signal on one grid, exact for correlation * L_in + L_out: to points once, and back from every power."""

from __future__ import annotations

from tpregistry.arrays import Array, arrays_of, flat
from tpregistry.problem import Problem
from tpregistry_gaunt.forms import Form
from tpregistry_gaunt.kernel import piece
from tpregistry_gaunt.tables import OUT, PowerTables, X

Halves = dict[int, Array]
"""By sign, values of the part of a signal that is even under r -> -r, and of the odd one: at one point of each pair."""


class PowersKernel:
    """No transform between factors: a power is the last one times the signal, at each point."""

    def __init__(self, problem: Problem, form: Form, device: str, framework: str) -> None:
        self._form, self._arrays, self._correlation = form, arrays_of(framework, problem.dtype, device), problem.correlation
        self.engine = f"{self._arrays.engine}, {form}, {problem.correlation} powers"
        found = PowerTables(problem, form)
        (self._signal, _, self._out), self._groups = found.irreps, found.groups
        self._there = {sign: self._arrays.constant(table) for (sign,), table in found.tables[X].items()}
        self._back = {key: self._arrays.constant(table.T) for key, table in found.tables[OUT].items()}

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """x (batch, dim_in1), y and w without elements -> out (batch, dim_out): the powers side by side."""
        values = {sign: self._values(x, members, self._there[sign]) for (sign,), members in self._groups[X].items()}
        power, parts = values, {}
        for number in range(1, self._correlation + 1):
            power = _product(power, values) if number > 1 else values
            parts |= self._projected(power, number)
        missing = (n for n in range(len(self._out)) if n not in parts)
        parts |= {n: self._arrays.zeros(x, self._out[n].dim) for n in missing}
        return self._arrays.beside([parts[n] for n in sorted(parts)])

    def _values(self, x: Array, members: list[int], table: Array) -> Array:
        return self._form.there(self._arrays, [piece(x, self._signal, n) for n in members], table)

    def _projected(self, power: Halves, number: int) -> dict[int, Array]:
        """What a power has of the irreps of the output."""
        found = {}
        for sign, values in power.items():
            members = self._groups[OUT].get((sign, number), [])
            if members:
                widths = [2 * self._out[n].l + 1 for n in members]
                pieces = self._form.back(self._arrays, values, self._back[sign, number], widths)
                found |= {n: flat(each) for n, each in zip(members, pieces, strict=True)}
        return found


def _product(f: Halves, g: Halves) -> Halves:
    found: Halves = {}
    for a, left in f.items():
        for b, right in g.items():
            found[a * b] = found[a * b] + left * right if a * b in found else left * right
    return found
