"""A product of fields as a form, of which any part follows from the others: T = sum over points of operands and output.

So one kind of sweep serves a product and all its derivatives: encode some operands, multiply at points, decode others.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from tpregistry.irreps import Irreps
from tpregistry.many_body import reached
from tpregistry.problem import Problem
from tpregistry.so3.grids import fewest_points, product_degree
from tpregistry.so3.harmonics import spherical_harmonics
from tpregistry_gaunt.forms import Form, Key
from tpregistry_gaunt.tables import OUT, Tables, X, Y

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


def of_powers(problem: Problem) -> Fields:
    """Powers of one signal: keys are behaviour under r -> -r, and of the output the power too; 0 where it lacks an irrep."""
    irreps, degrees = (problem.irreps_in1, problem.irreps_in2, problem.irreps_out), reached(problem)
    each = len(problem.irreps_out) // problem.correlation
    top = [max(item.l for item in rep) for rep in (problem.irreps_in1, problem.irreps_out)]
    points = fewest_points(product_degree(*[top[0]] * problem.correlation, top[1]), pairs=True)
    table = spherical_harmonics(max(top), points.points).T
    groups: list[Groups] = [{}, {}, {}]
    for number, item in enumerate(problem.irreps_in1):
        groups[X].setdefault(((-1) ** item.l,), []).append(number)
    for number, item in enumerate(problem.irreps_out):
        power = number // each
        groups[OUT].setdefault(((-1) ** item.l if item.l in degrees[power] else 0, power + 1), []).append(number)
    tables = [
        {key: _rows(table * weights, irreps[slot], members) for key, members in groups[slot].items()}
        for slot, weights in ((X, 1.0), (Y, 1.0), (OUT, points.weights))
    ]
    return Fields(irreps, groups, tables, _meetings(groups), len(points))


def _meetings(groups: list[Groups]) -> list[Coupling]:
    """As many factors as each power has, of all keys whose product it has."""
    return [
        Coupling((*((X, (key, 0)) for key in keys), (OUT, ((sign, power), 0))))
        for sign, power in groups[OUT]
        for keys in product(groups[X], repeat=power)
        if prod(key[0] for key in keys) == sign
    ]


def _rows(table: np.ndarray, irreps: Irreps, members: list[int]) -> np.ndarray:
    return np.concatenate([table[irreps[n].l ** 2 : (irreps[n].l + 1) ** 2] for n in members])
