"""cg-dense: the outer product of x and y times one dense coefficient matrix per pair of irreps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from tpregistry.arrays import Array, cut
from tpregistry.plan import Segment, Term
from tpregistry.portable import PortableKernel


class DenseKernel(PortableKernel):
    """Terms that read the same pieces of x and y share their outer product and one matrix (i j) -> all k."""

    def prepare(self, terms: Sequence[Term]) -> None:
        """One matrix per pair of pieces; its columns are the outputs of the pair's terms, one after the other."""

        def pair(number: int) -> tuple[Segment, Segment]:
            x, y = terms[number].factors[:2]
            return x, y

        order = sorted(range(len(terms)), key=lambda number: str(pair(number)))
        self._groups = []
        for (x, y), members in groupby(order, key=pair):
            numbers = list(members)
            blocks = [terms[number].coefficients.reshape(x.shape[-1] * y.shape[-1], -1) for number in numbers]
            widths = [block.shape[1] for block in blocks]
            self._groups.append((x, y, self.arrays.constant(np.concatenate(blocks, axis=1)), numbers, widths))

    def products(self, x: Array, y: Array) -> list[Array]:
        """See `PortableKernel.products`."""
        found: dict[int, Array] = {}
        for x_place, y_place, matrix, numbers, widths in self._groups:
            subscripts = f"z{x_place.letters},z{y_place.letters}->z{_both(x_place, y_place)}ij"
            outer = self.arrays.einsum(subscripts, self.read(x_place, x), self.read(y_place, y))
            rows = outer.reshape(*outer.shape[:-2], outer.shape[-2] * outer.shape[-1])
            found |= dict(zip(numbers, cut(rows @ matrix, widths), strict=True))
        return [found[number] for number in range(len(found))]


def _both(x: Segment, y: Segment) -> str:
    return x.channels if x.channels == y.channels else x.channels + y.channels
