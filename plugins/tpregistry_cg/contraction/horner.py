"""Polynomials as trees, for Horner's rule: x_1 (W_1 + x_1 W_11 + x_2 W_12) + x_2 (...) takes one multiplication for a branch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tpregistry.contraction import Table

Monomial = tuple[int, tuple[int, ...]]
"""Its number, and its factors."""


@dataclass(frozen=True, eq=False)
class Node:
    """A polynomial: the coefficient of number ``own``, if there is one, and each branch times its variable."""

    own: int | None
    branches: tuple[tuple[int, Node], ...] = ()

    @property
    def size(self) -> int:
        """Branches below."""
        return sum(1 + child.size for _, child in self.branches)


def trees(table: Table, components: int) -> list[Node]:
    """One for each component of the output."""
    found: list[list[Monomial]] = [[] for _ in range(components)]
    for number, (output, factors) in enumerate(zip(table.outputs, table.factors, strict=True)):
        found[output].append((number, factors))
    return [_tree(monomials) for monomials in found]


def _tree(monomials: Sequence[Monomial]) -> Node:
    """The variable that most monomials have is taken out of all of them, and so on with those that are left."""
    own = next((number for number, factors in monomials if not factors), None)
    left, branches = [m for m in monomials if m[1]], []
    while left:
        counts = Counter(variable for _, factors in left for variable in set(factors))
        variable = max(counts, key=lambda v: (counts[v], -v))
        branches.append((variable, _tree([(n, _without(f, variable)) for n, f in left if variable in f])))
        left = [m for m in left if variable not in m[1]]
    return Node(own, tuple(branches))


def _without(factors: tuple[int, ...], variable: int) -> tuple[int, ...]:
    place = factors.index(variable)
    return factors[:place] + factors[place + 1 :]
