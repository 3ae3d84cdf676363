"""cg-hoist: M[i, k] = sum_j C_ijk y_j once per sample, shared by all copies of x; then x M as a batched matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from tpregistry.arrays import Array, cut
from tpregistry.plan import Segment, Term
from tpregistry.portable import PortableKernel

Group = tuple[Segment, Segment | None, Array, list[int], list[int]]


class HoistKernel(PortableKernel):
    """Terms that read the same piece of x share one matrix product, whatever piece of a one-copy y they read."""

    def prepare(self, terms: Sequence[Term]) -> None:
        """One constant j -> (i, all k) per group; pieces of y with one copy are taken together, as the whole of y."""

        def group(number: int) -> tuple[Segment, Segment | None]:
            x, y = terms[number].factors[:2]
            return x, None if y.shape[0] == 1 and x.channels != y.channels else y

        order = sorted(range(len(terms)), key=lambda number: str(group(number)))
        self._groups: list[Group] = []
        for (x, y), members in groupby(order, key=group):
            numbers = list(members)
            widths = [terms[number].coefficients.shape[2] for number in numbers]
            self._groups.append((x, y, self._constant([terms[number] for number in numbers], y), numbers, widths))

    def _constant(self, terms: list[Term], y: Segment | None) -> Array:
        """Rows: components of one piece of y, or all of y; columns: (component of x, output components of all terms)."""
        size = y.shape[-1] if y else self.plan.operand["y"].size
        blocks = []
        for term in terms:
            i, j, k = term.coefficients.shape
            block = np.zeros((size, i, k))
            start = 0 if y else term.factors[1].start
            block[start : start + j] = term.coefficients.transpose(1, 0, 2)
            blocks.append(block)
        return self.arrays.constant(np.concatenate(blocks, axis=2).reshape(size, -1))

    def products(self, x: Array, y: Array) -> list[Array]:
        """See `PortableKernel.products`."""
        found: dict[int, Array] = {}
        for x_place, y_place, constant, numbers, widths in self._groups:
            product = self._product(x_place, y_place, constant, x, y)
            found |= dict(zip(numbers, cut(product, widths), strict=True))
        return [found[number] for number in range(len(found))]

    def _product(self, x_place: Segment, y_place: Segment | None, constant: Array, x: Array, y: Array) -> Array:
        left = self.read(x_place, x)
        i = left.shape[-1]
        k = constant.shape[1] // i
        if y_place is None:
            return (left @ (y @ constant).reshape(len(y), i, k))[:, :, None]
        rows = self.read(y_place, y) @ constant
        right = rows.reshape(*rows.shape[:-1], i, k)
        if x_place.channels == y_place.channels:
            return (left[..., None, :] @ right).squeeze(-2)
        return self.arrays.einsum("zui,zvik->zuvk", left, right)
