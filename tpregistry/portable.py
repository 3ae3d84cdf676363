"""What the portable kernels share: reading segments, weighing products, putting outputs together.

A kernel differs from another in one method: how it forms the products ``C_ijk x_i y_j`` of its terms.
"""

from __future__ import annotations

from collections.abc import Sequence

from tpregistry.arrays import Array, Arrays, arrays_of, flat
from tpregistry.plan import Plan, Segment, Term, plan_tensor_product
from tpregistry.problem import Problem


class PortableKernel:
    """out = sum of paths, each a product of x and y weighed by w; made of differentiable functions of the framework alone."""

    def __init__(self, problem: Problem, device: str, framework: str) -> None:
        self.plan: Plan = plan_tensor_product(problem)
        self.arrays: Arrays = arrays_of(framework, problem.dtype, device)
        self.engine = self.arrays.engine
        self._pieces = [(place.start, place.stop - place.start) for place in problem.irreps_out.slices()]
        self.prepare(self.plan.terms)

    def prepare(self, terms: Sequence[Term]) -> None:
        """Group terms and lay down constants."""
        raise NotImplementedError

    def products(self, x: Array, y: Array) -> list[Array]:
        """For each term, in order, C_ijk x_i y_j of shape (batch, copies of x and y, 2 l_out + 1)."""
        raise NotImplementedError

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out)."""
        sums: dict[int, Array] = {}
        for term, product in zip(self.plan.terms, self.products(x, y), strict=True):
            value, start = flat(self._weigh(term, product, w)), term.target.start
            sums[start] = sums[start] + value if start in sums else value
        parts = [sums[start] if start in sums else self.arrays.zeros(x, size) for start, size in self._pieces if size]
        return self.arrays.beside(parts) if parts else self.arrays.zeros(x, 0)

    def read(self, segment: Segment, operand: Array) -> Array:
        """A segment of a batched operand, shape (batch, copies, components)."""
        piece = operand[:, segment.start : segment.stop].reshape(len(operand), *segment.shape)
        return piece if segment.gather is None else piece[:, self.arrays.index(segment.gather)]

    def _weigh(self, term: Term, product: Array, w: Array) -> Array:
        """Multiply by the path's weights and sum over the copies that the output does not have.

        A copy index that is summed and has one value is dropped first: then `uvu` with one copy of y is one multiplication.
        """
        copies, kept = _copies(term), term.target.channels
        single = [letter for axis, letter in enumerate(copies) if letter not in kept and product.shape[1 + axis] == 1]
        if len(term.factors) == 3:
            segment = term.factors[2]
            factor = w[..., segment.start : segment.stop].reshape(*w.shape[:-1], *segment.shape)
            factor, names = _without(factor, segment.channels, single, w.ndim - 1)
            product, copies = _without(product, copies, single, 1)
            if names != copies or copies != kept:
                z = "z" if w.ndim == 2 else ""
                return self.arrays.einsum(f"z{copies}k,{z}{names}->z{kept}k", product, factor)
            return product * factor[..., None]
        summed = tuple(1 + axis for axis, letter in enumerate(copies) if letter not in kept)
        return product.sum(summed) if summed else product


def _copies(term: Term) -> str:
    x, y = term.factors[0].channels, term.factors[1].channels
    return x if x == y else x + y


def _without(array: Array, letters: str, dropped: list[str], first: int) -> tuple[Array, str]:
    for letter in dropped:
        if letter in letters:
            array = array.squeeze(first + letters.index(letter))
            letters = letters.replace(letter, "")
    return array, letters
