"""Gaunt products of a signal with itself, of any order."""

from __future__ import annotations

from functools import cache

import torch

from tpregistry import many_body
from tpregistry.irreps import Irreps
from tpregistry.signal_layers import Written, read
from tpregistry.torch.products import Product

Tensor = torch.Tensor


def gaunt_many_body(x: Tensor, correlation: int, irreps_in: Written, irreps_out: Written) -> list[Tensor]:
    """``integral of F_x^n Y`` for n = 1..correlation: signals x (..., irreps_in.dim) -> a list of (..., irreps_out.dim).

    By the fastest valid backend: one grid without transforms between the factors, or a chain of `gaunt` products that truncates
    nothing. See `tpregistry.many_body.gaunt_many_body`, also for irreps that are refused.
    """
    return _powers(_product(str(irreps_in), str(irreps_out), correlation), x)


def _powers(product: Product, x: Tensor) -> list[Tensor]:
    out = product(x, x.new_zeros(*x.shape[:-1], 0))
    return list(out.split(product.problem.irreps_out.dim // product.problem.correlation, dim=-1))


@cache
def _product(irreps_in: str, irreps_out: str, correlation: int) -> Product:
    return Product(many_body.gaunt_many_body(irreps_in, irreps_out, correlation))


class GauntSymmetricContraction(torch.nn.Module):
    """MACE's symmetric contraction with Gaunt's product in place of Clebsch-Gordan's (Luo et al., arXiv:2401.10216).

    ``out_l = sum over n of W[element, n, l, channel] (F_x^n)_l``, n = 1..correlation: one weight per element, order, degree and
    channel. It lacks every coupling of odd l1 + l2 + l3, and what several paths of MACE weigh apart is one function here: a
    model of its own, no drop-in for MACE's. Outputs have about unit variance at initialisation where inputs have.
    """

    _scale: Tensor

    def __init__(self, irreps_in: Written, irreps_out: Written, correlation: int, num_elements: int) -> None:
        """Irreps as for `gaunt_many_body`. Raises ValueError for others, and for a correlation below 1."""
        super().__init__()
        problem = many_body.gaunt_many_body(read(irreps_in), read(irreps_out), correlation)
        self.product, self.correlation = Product(problem), correlation
        self.irreps_in, self.irreps_out = problem.irreps_in1, many_body.wanted(problem)
        shape = num_elements, correlation, len(self.irreps_out), self.irreps_in[0].mul
        self.gaunt_weight = torch.nn.Parameter(torch.randn(shape) / correlation**0.5)
        scale = torch.from_numpy(many_body.unit_variance(problem)).to(torch.get_default_dtype())
        self.register_buffer("_scale", scale, persistent=False)

    def forward(self, x: Tensor, elements: Tensor) -> Tensor:
        """x (nodes, irreps_in.dim), elements (nodes,) of integers -> (nodes, irreps_out.dim)."""
        weights = self.gaunt_weight[elements] * self._scale[:, :, None]
        powers = _powers(self.product, x)
        return sum(power * _spread(weights[:, n], self.irreps_out) for n, power in enumerate(powers))  # type: ignore[return-value]

    def extra_repr(self) -> str:
        """Irreps and order."""
        return f"{self.irreps_in} -> {self.irreps_out}, correlation {self.correlation}"


def _spread(weights: Tensor, irreps: Irreps) -> Tensor:
    """A weight per degree and channel, (nodes, degrees, copies), on every component."""
    parts = [weights[:, n, :, None].expand(-1, -1, 2 * item.l + 1).flatten(-2) for n, item in enumerate(irreps)]
    return torch.cat(parts, dim=-1)
