"""What a plan asks for at points: each value of each target as a sum of products of the operands' values."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tpregistry.plan import Plan, Term
from tpregistry_gaunt.llvm.fields import Coupling, Fields, Value
from tpregistry_gaunt.tables import OUT, X, Y

SLOTS = {"i": X, "j": Y, "k": OUT}
"""By the letter that plans give to the components of each."""

Factor = tuple[str, Value]


class Summand(NamedTuple):
    """A number times values of operands."""

    number: float
    factors: tuple[Factor, ...]


class Program(NamedTuple):
    """The slot of each operand that takes part, and for each value of each target what it sums."""

    slots: dict[str, int]
    sums: dict[str, dict[Value, list[Summand]]]

    @property
    def read(self) -> set[Factor]:
        """Values of operands that anything asks for."""
        return {factor for sums in self.sums.values() for each in sums.values() for summand in each for factor in summand.factors}


def program(fields: Fields, plan: Plan) -> Program:
    """Read it off the terms: they are paths, and those of an operation come all together."""
    slots: dict[str, int] = {}
    for term in plan.terms:
        slots |= {segment.operand: SLOTS[segment.components] for segment in (*term.factors, term.target)}
    found: dict[tuple[str, Value], Counter[tuple[Factor, ...]]] = {}
    for (target, *factors), count in Counter(_names(term) for term in _one_of_each_length(plan)).items():
        for coupling in fields.couplings:
            if len(coupling.legs) == len(factors) + 1:
                value, met = _assigned(coupling, slots, target, factors)
                found.setdefault((target, value), Counter())[met] += coupling.sign * count
    sums: dict[str, dict[Value, list[Summand]]] = {operand.name: {} for operand in plan.outputs}
    for (target, value), numbers in found.items():
        sums[target][value] = [Summand(number, factors) for factors, number in numbers.items()]
    return Program(slots, sums)


def _names(term: Term) -> tuple[str, ...]:
    return (term.target.operand, *sorted(factor.operand for factor in term.factors))


def _one_of_each_length(plan: Plan) -> list[Term]:
    """Terms of one path for each number of factors: those that share its coefficients, as derivatives do."""
    first = {len(term.factors): term.coefficients for term in reversed(plan.terms)}
    return [term for term in plan.terms if term.coefficients is first[len(term.factors)]]


def _assigned(coupling: Coupling, slots: dict[str, int], target: str, factors: list[str]) -> tuple[Value, tuple[Factor, ...]]:
    """The target's value, and those of the factors; legs of one slot are alike, for a coupling comes in every order."""
    legs = list(coupling.legs)

    def take(name: str) -> Value:
        return legs.pop(next(n for n, (slot, _) in enumerate(legs) if slot == slots[name]))[1]

    value = take(target)
    return value, tuple(sorted((name, take(name)) for name in factors))
