"""Gaunt products of a signal with itself, of any order, on one grid."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.signal_layers import Written, read
from tpregistry.so3.grids import fewest_points, product_degree
from tpregistry.so3.harmonics import spherical_harmonics

Tensor = torch.Tensor


def gaunt_many_body(x: Tensor, order: int, irreps_in: Written, irreps_out: Written) -> list[Tensor]:
    """``integral of F_x^n Y`` for n = 1..order: signals x (..., irreps_in.dim) -> a list of (..., irreps_out.dim).

    One grid, exact for order * L_in + L_out, and no transform between the factors: the chain of `gaunt` products that truncates
    nothing in between, in orthonormal harmonics. Irreps are natural (0e, 1o, 2e...), each named once, with as many copies. Raises
    ValueError for others.
    """
    signal, wanted = natural(read(irreps_in)), natural(read(irreps_out))
    to_points, back = _tables(tuple(signal), tuple(wanted), order, x.dtype, x.device)
    values = _rows(x, signal) @ to_points
    power, found = values, []
    for n in range(order):
        power = power * values if n else values
        found.append(_flat(power @ back, wanted))
    return found


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
        if correlation < 1:
            raise ValueError(f"correlation {correlation}: at least 1")
        self.irreps_in, self.irreps_out, self.correlation = natural(read(irreps_in)), natural(read(irreps_out)), correlation
        channels = self.irreps_in[0].mul
        if channels != self.irreps_out[0].mul:
            raise ValueError(f"as many copies out as in: {self.irreps_in} -> {self.irreps_out}")
        shape = num_elements, correlation, len(self.irreps_out), channels
        self.gaunt_weight = torch.nn.Parameter(torch.randn(shape) / correlation**0.5)
        self.register_buffer("_scale", _unit_variance(self.irreps_in, self.irreps_out, correlation), persistent=False)

    def forward(self, x: Tensor, elements: Tensor) -> Tensor:
        """x (nodes, irreps_in.dim), elements (nodes,) of integers -> (nodes, irreps_out.dim)."""
        powers = gaunt_many_body(x, self.correlation, self.irreps_in, self.irreps_out)
        weights = self.gaunt_weight[elements] * self._scale[:, :, None]
        return sum(power * _spread(weights[:, n], self.irreps_out) for n, power in enumerate(powers))  # type: ignore[return-value]

    def extra_repr(self) -> str:
        """Irreps and order."""
        return f"{self.irreps_in} -> {self.irreps_out}, correlation {self.correlation}"


def natural(irreps: Irreps) -> Irreps:
    """The same irreps. Raises ValueError where they are no signal of natural parity."""
    degrees, copies = [item.l for item in irreps], {item.mul for item in irreps}
    if not degrees or len(copies) > 1 or len(set(degrees)) < len(degrees) or any(item.p != (-1) ** item.l for item in irreps):
        raise ValueError(f"{irreps}: use natural irreps, each once and in as many copies, such as 8x0e+8x1o+8x2e")
    return irreps


@cache
def _tables(
    signal: tuple[MulIrrep, ...], wanted: tuple[MulIrrep, ...], order: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """To points, shape (components, points), and back."""
    highest = [max(item.l for item in rep) for rep in (signal, wanted)]
    points = fewest_points(product_degree(*[highest[0]] * order, highest[1]))
    table = spherical_harmonics(max(highest), points.points)
    columns = [np.concatenate([np.arange(item.l**2, (item.l + 1) ** 2) for item in rep]) for rep in (signal, wanted)]
    there, back = table[:, columns[0]].T, table[:, columns[1]] * points.weights[:, None]
    with torch.inference_mode(False):  # they outlive the call
        return torch.from_numpy(there.copy()).to(device, dtype), torch.from_numpy(back.copy()).to(device, dtype)


def _unit_variance(irreps_in: Irreps, irreps_out: Irreps, order: int) -> Tensor:
    """What gives each order and degree of random signals unit variance, shape (order, degrees): measured on 4096 of them."""
    generator = torch.Generator().manual_seed(0)
    single = [Irreps(tuple(item._replace(mul=1) for item in rep)) for rep in (irreps_in, irreps_out)]
    x = torch.randn(4096, single[0].dim, generator=generator, dtype=torch.float64)
    powers = gaunt_many_body(x, order, *single)
    squares = torch.stack([torch.stack([p[:, place].square().mean() for place in single[1].slices()]) for p in powers])
    return torch.where(squares > 1e-12, squares, 1.0).rsqrt().to(torch.get_default_dtype())


def _rows(x: Tensor, irreps: Irreps) -> Tensor:
    """Channels apart: (..., copies, components)."""
    parts = [x[..., place].unflatten(-1, (item.mul, -1)) for place, item in zip(irreps.slices(), irreps, strict=True)]
    return torch.cat(parts, dim=-1)


def _flat(rows: Tensor, irreps: Irreps) -> Tensor:
    """The inverse of `_rows`."""
    return torch.cat([part.flatten(-2) for part in rows.split([2 * item.l + 1 for item in irreps], dim=-1)], dim=-1)


def _spread(weights: Tensor, irreps: Irreps) -> Tensor:
    """A weight per degree and channel, (nodes, degrees, copies), on every component."""
    parts = [weights[:, n, :, None].expand(-1, -1, 2 * item.l + 1).flatten(-2) for n, item in enumerate(irreps)]
    return torch.cat(parts, dim=-1)
