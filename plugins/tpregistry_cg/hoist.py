"""cg-hoist: M[i, k] = sum_j C_ijk y_j once per sample, shared by all copies of x; then x M as a batched matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch

from tpregistry.plan import Segment, Term
from tpregistry_cg.portable import PortableKernel, Tensor, read

Group = tuple[Segment, Segment | None, Tensor, list[int], list[int]]


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

    def _constant(self, terms: list[Term], y: Segment | None) -> Tensor:
        """Rows: components of one piece of y, or all of y; columns: (component of x, output components of all terms)."""
        size = y.shape[-1] if y else self.plan.operand["y"].size
        blocks = []
        for term in terms:
            i, j, k = term.coefficients.shape
            block = np.zeros((size, i, k))
            start = 0 if y else term.factors[1].start
            block[start : start + j] = term.coefficients.transpose(1, 0, 2)
            blocks.append(block)
        return self.constant(np.concatenate(blocks, axis=2).reshape(size, -1))

    def products(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """See `PortableKernel.products`."""
        found: dict[int, Tensor] = {}
        for x_place, y_place, constant, numbers, widths in self._groups:
            product = self._product(x_place, y_place, constant, x, y)
            found |= dict(zip(numbers, torch.split(product, widths, dim=-1), strict=True))
        return [found[number] for number in range(len(found))]

    def _product(self, x_place: Segment, y_place: Segment | None, constant: Tensor, x: Tensor, y: Tensor) -> Tensor:
        left = read(x_place, x)
        i = left.shape[-1]
        k = constant.shape[1] // i
        if y_place is None:
            return torch.bmm(left, (y @ constant).reshape(len(y), i, k)).unsqueeze(2)
        right = (read(y_place, y) @ constant).unflatten(-1, (i, k))
        if x_place.channels == y_place.channels:
            return (left.unsqueeze(-2) @ right).squeeze(-2)
        return torch.einsum("zui,zvik->zuvk", left, right)
