"""A product of fields as a form, of which any part follows from the others: T = sum over points of operands and output.

So one kind of sweep serves a product and all its derivatives: encode some operands, multiply at points, decode others.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from tpregistry.irreps import Irreps
from tpregistry.problem import Problem
from tpregistry_gaunt.forms import Form, Key
from tpregistry_gaunt.tables import OUT, PowerTables, Tables, X, Y

Value = tuple[Key, int]
"""A field of an operand: its key, and which of several components."""

Groups = dict[Key, list[int]]


@dataclass(frozen=True)
class Coupling:
    """Values that meet, each with its slot, and a sign."""

    legs: tuple[tuple[int, Value], ...]
    sign: int = 1


@dataclass(frozen=True)
class Fields:
    """For the slots x, y and out their irreps, sorted by keys in ``groups``, and tables by key; then what meets what.

    ``tables`` lead from components to values, (components, fields * points); in that of the output are quadrature and scale.
    """

    irreps: tuple[Irreps, Irreps, Irreps]
    groups: list[Groups]
    tables: list[dict[Key, np.ndarray]]
    couplings: list[Coupling]
    points: int

    @property
    def channels(self) -> int:
        """Copies of every irrep."""
        return next((item.mul for rep in self.irreps for item in rep if item.mul), 1)

    def length(self, slot: int, key: Key) -> int:
        """Components of the irreps of a key."""
        return sum(2 * self.irreps[slot][n].l + 1 for n in self.groups[slot][key])

    def matrix(self, slot: int, value: Value) -> np.ndarray:
        """From components of a group to values at points, shape (components, points)."""
        key, part = value
        table = self.tables[slot][key]
        return table.reshape(len(table), -1, self.points)[:, part]


def of_product(problem: Problem, form: Form) -> Fields:
    """A product of two."""
    found = Tables(problem, form)
    couplings = [
        Coupling(((X, (a, i)), (Y, (b, j)), (OUT, (key, s))), sign)
        for key, pairs in found.meetings.items()
        for a, b in pairs
        for s, i, j, sign in form.structure
    ]
    return Fields(found.irreps, found.groups, found.tables, couplings, form.shape[-1])


def of_powers(problem: Problem, form: Form) -> Fields:
    """Powers of one signal."""
    found = PowerTables(problem, form)
    return Fields(found.irreps, found.groups, found.tables, _meetings(found.groups), form.shape[-1])


def _meetings(groups: list[Groups]) -> list[Coupling]:
    """As many factors as each power has, of all keys whose product it has."""
    return [
        Coupling((*((X, (key, 0)) for key in keys), (OUT, ((sign, power), 0))))
        for sign, power in groups[OUT]
        for keys in product(groups[X], repeat=power)
        if prod(key[0] for key in keys) == sign
    ]
