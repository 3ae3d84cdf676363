"""The tables of a product by values: for each operand, irreps sorted by keys, and what leads between components and values."""

from __future__ import annotations

from itertools import product

import numpy as np

from tpregistry.arrays import flat
from tpregistry.many_body import reached, wanted
from tpregistry.problem import Problem
from tpregistry.products import factors
from tpregistry_gaunt.forms import Form, Key, Table

X, Y, OUT = range(3)
"""The slots of a product."""

NOISE = 64 * np.finfo(float).eps
"""Above all rounding (2.5e-15 of the largest entry to degree 10), below every true entry (1.4e-9)."""

Degrees = list[tuple[int, int]]
"""Of irreps, and of the harmonics that carry them."""


class Tables:
    """Of a problem in a form, for the three slots x, y and out.

    ``groups``: the irreps that have copies, by key. ``meetings``: for each key of the output those of x and y whose product it
    is. ``tables``: per slot and key, (components of the group, entries of the values), for the output transposed, and its
    quadrature and normalisation in it.
    """

    def __init__(self, problem: Problem, form: Form) -> None:
        self.form = form
        self.irreps = problem.irreps_in1, problem.irreps_in2, problem.irreps_out
        self._labels = [form.labels(rep) for rep in self.irreps]
        self.groups = [self._grouped(slot) for slot in (X, Y, OUT)]
        self.meetings = self._meetings()
        self._scales = factors(problem)
        self.tables = [
            {key: self._table(slot, members) for key, members in group.items()} for slot, group in enumerate(self.groups)
        ]

    def _grouped(self, slot: int) -> dict[Key, list[int]]:
        groups: dict[Key, list[int]] = {}
        for number, item in enumerate(self.irreps[slot]):
            if item.mul:
                groups.setdefault(self.form.key(item, self._labels[slot][number]), []).append(number)
        return groups

    def _meetings(self) -> dict[Key, list[tuple[Key, Key]]]:
        x, y, out = self.groups
        found = {key: [(a, b) for a, b in product(x, y) if _meet(a, b, self.form.sign) == key] for key in out}
        return {key: pairs for key, pairs in found.items() if pairs}

    def _table(self, slot: int, members: list[int]) -> Table:
        rep, labels = self.irreps[slot], self._labels[slot]
        degrees = [(rep[n].l, labels[n]) for n in members]
        return encoders(self.form, degrees) if slot < OUT else decoders(self.form, degrees, [self._scales[n] for n in members])


class PowerTables:
    """The same for powers of one signal: keys are behaviour under r -> -r, and of the output the power too, from 1 on.

    Of an output that a power lacks the behaviour is 0.
    """

    def __init__(self, problem: Problem, form: Form) -> None:
        self.form = form
        self.irreps = problem.irreps_in1, problem.irreps_in2, problem.irreps_out
        self.groups: list[dict[Key, list[int]]] = [{}, {}, self._reached(problem)]
        for number, item in enumerate(problem.irreps_in1):
            self.groups[X].setdefault(((-1) ** item.l,), []).append(number)
        self.tables = [
            {key: self._table(slot, [(rep[n].l, rep[n].l) for n in members]) for key, members in self.groups[slot].items()}
            for slot, rep in enumerate(self.irreps)
        ]

    def _reached(self, problem: Problem) -> dict[Key, list[int]]:
        found: dict[Key, list[int]] = {}
        degrees, each = reached(problem), len(wanted(problem))
        for number, item in enumerate(problem.irreps_out):
            power = number // each
            found.setdefault(((-1) ** item.l if item.l in degrees[power] else 0, power + 1), []).append(number)
        return found

    def _table(self, slot: int, degrees: Degrees) -> Table:
        return encoders(self.form, degrees) if slot < OUT else decoders(self.form, degrees, [1.0] * len(degrees))


def encoders(form: Form, degrees: Degrees) -> Table:
    """For irreps of given degrees and labels, (all components, entries of the values)."""
    return np.concatenate([_without_noise(flat(form.encoder(*each))) for each in degrees])


def decoders(form: Form, degrees: Degrees, scales: list[float]) -> Table:
    """The same of what takes values back, transposed."""
    blocks = [scale * form.decoder(*each) for each, scale in zip(degrees, scales, strict=True)]
    return np.concatenate([_without_noise(block.reshape(-1, block.shape[-1])) for block in blocks], axis=1).T


def _without_noise(block: Table) -> Table:
    """Zeros where rounding left something else (sin(pi) is 1e-16): what vanishes by symmetry of the table is to vanish exactly."""
    return np.where(abs(block) > NOISE * abs(block).max(initial=0.0), block, 0.0)


def _meet(a: Key, b: Key, sign: int) -> Key:
    return tuple(sign * s * t for s, t in zip(a, b, strict=True))
