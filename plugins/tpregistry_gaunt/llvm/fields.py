"""A product of fields as a form in three slots, any two of which give the third: T = sum over points of X * Y * OUT.

So one kind of sweep serves the product and all its derivatives: encode some operands, multiply at points, decode others.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from tpregistry.plan import Plan, Term
from tpregistry_gaunt.forms import Key
from tpregistry_gaunt.tables import OUT, Tables, X, Y

Value = tuple[Key, int]
"""A field of an operand: its key, and which of several components."""

SLOTS = {"i": X, "j": Y, "k": OUT}
"""By the letter that plans give to the components of each."""


class Coupling(NamedTuple):
    """Values of the three slots that meet, and a sign."""

    values: tuple[Value, Value, Value]
    sign: int


class Fields:
    """Of the tables of a problem: ``channels`` copies of everything, what meets what, and the matrix of each value."""

    def __init__(self, tables: Tables) -> None:
        self.irreps, self.groups = tables.irreps, tables.groups
        self.channels = next((item.mul for rep in self.irreps for item in rep if item.mul), 1)
        self.couplings = [
            Coupling(((a, i), (b, j), (key, s)), sign)
            for key, pairs in tables.meetings.items()
            for a, b in pairs
            for s, i, j, sign in tables.form.structure
        ]
        self._tables, self.points = tables.tables, tables.form.shape[-1]

    def length(self, slot: int, key: Key) -> int:
        """Components of the irreps of a key."""
        return sum(2 * self.irreps[slot][n].l + 1 for n in self.groups[slot][key])

    def matrix(self, slot: int, value: Value) -> np.ndarray:
        """From components of a group to values at points, shape (components, points)."""
        key, part = value
        table = self._tables[slot][key]
        return table.reshape(len(table), -1, self.points)[:, part]


class Summand(NamedTuple):
    """A number times a value of one operand times one of another."""

    number: float
    factors: tuple[tuple[str, Value], tuple[str, Value]]


class Program(NamedTuple):
    """What a plan asks for: the slot of each operand that takes part, and for each value of each target what it sums."""

    slots: dict[str, int]
    sums: dict[str, dict[Value, list[Summand]]]


def program(fields: Fields, plan: Plan) -> Program:
    """Read it off the terms: they are paths, and those of an operation come all together."""
    slots: dict[str, int] = {}
    for term in plan.terms:
        slots |= {segment.operand: SLOTS[segment.components] for segment in (*term.factors, term.target)}
    sums: dict[str, dict[Value, list[Summand]]] = {operand.name: {} for operand in plan.outputs}
    for (target, *factors), count in Counter(_names(term) for term in _one_path(plan)).items():
        for coupling in fields.couplings:
            met = tuple((name, coupling.values[slots[name]]) for name in factors)
            value = coupling.values[slots[target]]
            sums[target].setdefault(value, []).append(Summand(coupling.sign * count, met))  # type: ignore[arg-type]
    return Program(slots, sums)


def _names(term: Term) -> tuple[str, ...]:
    return (term.target.operand, *(factor.operand for factor in term.factors))


def _one_path(plan: Plan) -> list[Term]:
    """The terms that share the first one's coefficients: each derivative of that path."""
    return [term for term in plan.terms if term.coefficients is plan.terms[0].coefficients]
