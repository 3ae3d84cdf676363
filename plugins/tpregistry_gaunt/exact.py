"""Clebsch-Gordan products through points of the sphere, exactly: each pair of irreps is a product of fields of one degree.

Values give the paths of even l1 + l2 + l3, the curl those of odd ones; dividing by `so3.gaunt` or `so3.curl` leaves the 3j
tensor. As many products of fields as there are pairs, so this can win at large degrees only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from tpregistry.arrays import Array, cut
from tpregistry.plan import Segment, Term
from tpregistry.portable import PortableKernel
from tpregistry.so3 import curl, gaunt, wigner_3j
from tpregistry.so3.grids import fewest_points
from tpregistry.so3.harmonics import spherical_harmonics, surface_gradients

VALUES, BY_BETA, BY_ALPHA = 0, 1, 2

FIELDS = {False: ((1, VALUES, VALUES),), True: ((1, BY_BETA, BY_ALPHA), (-1, BY_ALPHA, BY_BETA))}
"""Products of fields of x and y that a group sums: values where it is even, r . (grad f x grad g) where it is odd."""


class Group(NamedTuple):
    """Terms that read the same pieces and go by values, or by the curl: their places among all terms, and one table."""

    x: Segment
    y: Segment
    odd: bool
    table: Array
    numbers: list[int]
    widths: list[int]


class ExactKernel(PortableKernel):
    """See the module."""

    def prepare(self, terms: Sequence[Term]) -> None:
        """Tables of harmonics and slopes of each degree, and of projections for each group."""
        degree = max((sum(_degrees(term)) for term in terms), default=0)
        self._points = fewest_points(degree, pairs=True)
        self._top = max((max(_degrees(term)) for term in terms), default=0)
        self._harmonics = spherical_harmonics(self._top, self._points.points)
        slopes = surface_gradients(self._top, self._points.points)
        self._fields = [
            tuple(self.arrays.constant(_block(field, l)) for field in (self._harmonics, *slopes)) for l in range(self._top + 1)
        ]
        self.engine += f", {len(self._points)} pairs of points ({self._points.kind})"

        def group(number: int) -> tuple[str, str, bool]:
            x, y = terms[number].factors[:2]
            return str(x), str(y), sum(_degrees(terms[number])) % 2 == 1

        order = sorted(range(len(terms)), key=group)
        self._groups = [self._group(terms, list(members)) for _, members in groupby(order, key=group)]

    def _group(self, terms: Sequence[Term], numbers: list[int]) -> Group:
        first = terms[numbers[0]]
        table = np.concatenate([self._projection(terms[number]) for number in numbers], axis=1)
        widths = [terms[number].coefficients.shape[2] for number in numbers]
        odd = sum(_degrees(first)) % 2 == 1
        return Group(first.factors[0], first.factors[1], odd, self.arrays.constant(table), numbers, widths)

    def _projection(self, term: Term) -> np.ndarray:
        """Quadrature with the harmonics of the output, by what the path's coefficient is of the field's own."""
        degrees = _degrees(term)
        own = curl(*degrees) if sum(degrees) % 2 else gaunt(*degrees)
        wanted = float((term.coefficients * wigner_3j(*degrees)).sum())
        return wanted / own * (_block(self._harmonics, degrees[2]) * self._points.weights).T

    def products(self, x: Array, y: Array) -> list[Array]:
        """See `PortableKernel.products`."""
        found: dict[int, Array] = {}
        operands = {"x": x, "y": y}

        @cache
        def field(segment: Segment, kind: int) -> Array:
            return self.read(segment, operands[segment.operand]) @ self._fields[segment.shape[-1] // 2][kind]

        for group in self._groups:
            values = sum(sign * self._together(group, field(group.x, a), field(group.y, b)) for sign, a, b in FIELDS[group.odd])
            found |= dict(zip(group.numbers, cut(values @ group.table, group.widths), strict=True))
        return [found[number] for number in range(len(found))]

    def _together(self, group: Group, f: Array, g: Array) -> Array:
        """Products at points, of each copy with its like or of all with all."""
        return f * g if group.x.channels == group.y.channels else f[:, :, None] * g[:, None]


def _degrees(term: Term) -> tuple[int, int, int]:
    l1, l2, l3 = (size // 2 for size in term.coefficients.shape)
    return l1, l2, l3


def _block(table: np.ndarray, degree: int) -> np.ndarray:
    """Rows of one degree, shape (2 degree + 1, points)."""
    return table[:, degree**2 : (degree + 1) ** 2].T
