"""Clebsch-Gordan products through fields, exactly: each pair of irreps is a product of fields of one degree.

Values give the paths of even l1 + l2 + l3, the curl those of odd ones; dividing by `so3.gaunt` or `so3.curl` leaves the 3j
tensor. As many products of fields as there are pairs, so this can win at large degrees only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from tpregistry.arrays import Array, cut
from tpregistry.plan import Segment, Term
from tpregistry.portable import PortableKernel
from tpregistry.problem import Problem
from tpregistry.so3 import curl, gaunt, wigner_3j
from tpregistry_gaunt.forms import Form
from tpregistry_gaunt.tables import decoders, encoders

Degrees = tuple[int, int, int]
Kind = Callable[[Degrees], Form]


class Group(NamedTuple):
    """Terms that read the same pieces and go by values, or by the curl: their places among all terms, and one table."""

    x: Segment
    y: Segment
    odd: bool
    table: Array
    numbers: list[int]
    widths: list[int]


class ExactKernel(PortableKernel):
    """See the module. ``kinds`` are the forms by which fields are multiplied: of Gaunt's product, and of the curl."""

    def __init__(self, problem: Problem, kinds: tuple[Kind, Kind], device: str, framework: str) -> None:
        self._kinds = kinds
        super().__init__(problem, device, framework)

    def prepare(self, terms: Sequence[Term]) -> None:
        """Tables of fields of each degree, and of projections for each group."""
        degrees = [_degrees(term) for term in terms]
        first, second, third = (max((each[slot] for each in degrees), default=0) for slot in range(3))
        self._forms = {odd: self._kinds[odd]((first, second, third)) for odd in sorted({_odd(term) for term in terms})}
        self._tables = {
            (odd, l): self.arrays.constant(encoders(form, [(l, l)]))
            for odd, form in self._forms.items()
            for l in {l for each in degrees for l in each[:2]}
        }
        self.engine += "".join(f", {form}" for form in self._forms.values())
        order = sorted(range(len(terms)), key=lambda number: _reads(terms[number]))
        self._groups = [self._group(terms, list(members)) for _, members in groupby(order, key=lambda n: _reads(terms[n]))]

    def _group(self, terms: Sequence[Term], numbers: list[int]) -> Group:
        first = terms[numbers[0]]
        table = np.concatenate([self._projection(terms[number]) for number in numbers], axis=1)
        widths = [terms[number].coefficients.shape[2] for number in numbers]
        return Group(first.factors[0], first.factors[1], _odd(first), self.arrays.constant(table), numbers, widths)

    def _projection(self, term: Term) -> np.ndarray:
        """That of the field, by what the path's coefficient is of the field's own; rows are values, columns components."""
        degrees = _degrees(term)
        own = curl(*degrees) if _odd(term) else gaunt(*degrees)
        wanted = float((term.coefficients * wigner_3j(*degrees)).sum())
        return decoders(self._forms[_odd(term)], [(degrees[2], degrees[2])], [wanted / own]).T

    def products(self, x: Array, y: Array) -> list[Array]:
        """See `PortableKernel.products`."""
        found: dict[int, Array] = {}
        operands = {"x": x, "y": y}

        @cache
        def field(segment: Segment, odd: bool) -> Array:
            rows = self.read(segment, operands[segment.operand]) @ self._tables[odd, segment.shape[-1] // 2]
            return self._forms[odd].values(self.arrays, rows)

        for group in self._groups:
            rows = self._projected(group, field(group.x, group.odd), field(group.y, group.odd))
            found |= dict(zip(group.numbers, cut(rows, group.widths), strict=True))
        return [found[number] for number in range(len(found))]

    def _projected(self, group: Group, f: Array, g: Array) -> Array:
        """Products of fields, of each copy with its like or of all with all, on the harmonics of all outputs."""
        form = self._forms[group.odd]
        alike = group.x.channels == group.y.channels
        values = form.multiply(f, g) if alike else form.multiply(f[:, :, None], g[:, None])
        copies, rest = values.shape[1 : 2 if alike else 3], values.shape[2 if alike else 3 :]
        rows = form.rows(self.arrays, values.reshape(len(values), int(np.prod(copies)), *rest)) @ group.table
        return rows.reshape(len(values), *copies, rows.shape[-1])


def _degrees(term: Term) -> Degrees:
    l1, l2, l3 = (size // 2 for size in term.coefficients.shape)
    return l1, l2, l3


def _odd(term: Term) -> bool:
    return sum(_degrees(term)) % 2 == 1


def _reads(term: Term) -> tuple[str, str, bool]:
    """What terms of a group have in common."""
    x, y = term.factors[:2]
    return str(x), str(y), _odd(term)
