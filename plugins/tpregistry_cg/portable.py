"""What the portable torch kernels share: reading segments, weighing products, putting outputs together.

A kernel differs from another in one method: how it forms the products ``C_ijk x_i y_j`` of its terms.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tpregistry.plan import Plan, Segment, Term, plan_tensor_product
from tpregistry.problem import Problem

Tensor = torch.Tensor


class PortableKernel:
    """out = sum of paths, each a product of x and y weighed by w; made of differentiable torch functions alone."""

    engine = "torch"

    def __init__(self, problem: Problem, device: str) -> None:
        self.plan: Plan = plan_tensor_product(problem)
        self.dtype, self.device = getattr(torch, problem.dtype), device
        self._pieces = [(place.start, place.stop - place.start) for place in problem.irreps_out.slices()]
        self.prepare(self.plan.terms)

    def prepare(self, terms: Sequence[Term]) -> None:
        """Group terms and lay down constants."""
        raise NotImplementedError

    def products(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """For each term, in order, C_ijk x_i y_j of shape (batch, copies of x and y, 2 l_out + 1)."""
        raise NotImplementedError

    def constant(self, array: object) -> Tensor:
        """Coefficients at the dtype of the problem."""
        return torch.as_tensor(array, dtype=torch.float64).to(self.dtype).to(self.device)

    def __call__(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out)."""
        sums: dict[int, Tensor] = {}
        for term, product in zip(self.plan.terms, self.products(x, y), strict=True):
            value = weigh(term, product, w).flatten(1)
            start = term.target.start
            sums[start] = sums[start] + value if start in sums else value
        parts = [sums[start] if start in sums else x.new_zeros(len(x), size) for start, size in self._pieces if size]
        return torch.cat(parts, dim=1) if parts else x.new_zeros(len(x), 0)


def read(segment: Segment, operand: Tensor) -> Tensor:
    """A segment of a batched operand, shape (batch, copies, components)."""
    piece = operand[:, segment.start : segment.stop].reshape(len(operand), *segment.shape)
    return piece if segment.gather is None else piece[:, list(segment.gather)]


def weigh(term: Term, product: Tensor, w: Tensor) -> Tensor:
    """Multiply by the path's weights and sum over the copies that the output does not have.

    A copy index that is summed and has one value is dropped first: then `uvu` with one copy of y is one multiplication.
    """
    copies, kept = _copies(term), term.target.channels
    single = [letter for axis, letter in enumerate(copies) if letter not in kept and product.shape[1 + axis] == 1]
    factor = None
    if len(term.factors) == 3:
        segment = term.factors[2]
        factor = w[..., segment.start : segment.stop].reshape(*w.shape[:-1], *segment.shape)
        factor, names = _without(factor, segment.channels, single, w.ndim - 1)
        product, copies = _without(product, copies, single, 1)
        if names != copies or copies != kept:
            z = "z" if w.ndim == 2 else ""
            return torch.einsum(f"z{copies}k,{z}{names}->z{kept}k", product, factor)
        return product * factor.unsqueeze(-1)
    summed = [1 + axis for axis, letter in enumerate(copies) if letter not in kept]
    return product.sum(summed) if summed else product


def _copies(term: Term) -> str:
    x, y = term.factors[0].channels, term.factors[1].channels
    return x if x == y else x + y


def _without(tensor: Tensor, letters: str, dropped: list[str], first: int) -> tuple[Tensor, str]:
    for letter in dropped:
        if letter in letters:
            tensor = tensor.squeeze(first + letters.index(letter))
            letters = letters.replace(letter, "")
    return tensor, letters
