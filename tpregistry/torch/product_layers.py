"""Layers around products of signals: linear maps in, one fixed product per channel, a linear map out.

``out = Lin_out(product(Lin_1 x, Lin_2 y))`` ("The Price of Freedom"): all weights are in the linear maps, e3nn's
`o3.Linear`, named after the product, so that a checkpoint of one layer is none of another. Outputs have unit variance at
initialisation where inputs have. Irreps are written as e3nn users do, in any order, of both parities, with any multiplicities.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from tpregistry.signal_layers import GAUNT_AND_CURL, INSTEAD, VECTORS_AND_SCALARS, Written, layout, require_reached, shares
from tpregistry.torch.products import Product

Tensor = torch.Tensor


class _SignalLayer(torch.nn.Module):
    """x (..., irreps_in1.dim), y (..., irreps_in2.dim) -> (..., irreps_out.dim), through ``channels`` signals of each."""

    operation = ""

    def __init__(
        self, irreps_in1: Written, irreps_in2: Written, irreps_out: Written, channels: int | None = None, *, partly: bool = False
    ) -> None:
        """``channels``: as many as the largest multiplicity unless given.

        Raises ValueError for outputs to which no path leads; with ``partly`` they are zero.
        """
        super().__init__()
        from e3nn import o3

        laid = layout(self.operation, irreps_in1, irreps_in2, irreps_out, channels)
        self.irreps_in1, self.irreps_in2, self.irreps_out = laid.outer
        self.channels, self.reached, self.product = laid.channels, laid.reached, Product(laid.problem)
        if not partly:
            require_reached(type(self).__name__, laid.outer, laid.reached, INSTEAD.get(self.operation, ""))
        for name, pair in laid.ends.items():
            self.add_module(f"{self.operation}_{name}", o3.Linear(*map(str, pair)))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        first, second, last = (getattr(self, f"{self.operation}_{name}") for name in ("in1", "in2", "out"))
        return last(self.product(first(x), second(y)))

    def extra_repr(self) -> str:
        """Irreps and channels."""
        return f"{self.irreps_in1} x {self.irreps_in2} -> {self.irreps_out}, {self.channels} channels"


class GauntTensorProduct(_SignalLayer):
    """Signals multiplied at each point of the sphere (Luo et al., arXiv:2401.10216): ``integral of F_x F_y Y``.

    O(L^3) to O(L^4) per channel in place of O(L^6). It lacks every path of odd l1 + l2 + l3, so above all the vector product
    of vectors: it cannot tell mirror images apart where that needs one. Symmetric in its signals.
    """

    operation = "gaunt"


class CurlTensorProduct(_SignalLayer):
    """``integral of r . (grad F_x x grad F_y) Y``: exactly the paths of odd l1 + l2 + l3, which Gaunt's product lacks.

    About twice the cost of `GauntTensorProduct`. Antisymmetric in its signals; scalars contribute nothing.
    """

    operation = "curl"


class MatrixTensorProduct(_SignalLayer):
    """Signals as matrices on one irrep, multiplied: e3x's FusedTensor (arXiv:2401.07595).

    Paths of both kinds but for rare zeros of a 6j symbol: (3, 5, 5) where the largest degree is 5 or 6, (3, 5, 6) where it is 11
    or 12. O(L^3) per channel.
    """

    operation = "matrix_product"


class VectorSignalTensorProduct(_SignalLayer):
    """Fields of vectors, polar and axial, multiplied by the vector product at each point (Xie et al., arXiv:2602.21466).

    Every path but (0, 0, 0), in several ways each: an irrep j lies in the harmonics of degrees j - 1, j and j + 1. Six
    multiplications of fields, and three times the tables of `GauntTensorProduct`.
    """

    operation = "vector_signal"


_KINDS = {kind.operation: kind for kind in (GauntTensorProduct, CurlTensorProduct, MatrixTensorProduct, VectorSignalTensorProduct)}


class _SumLayer(torch.nn.Module):
    """Products of several kinds, each with linear maps of its own, added."""

    operations: ClassVar[dict[str, str]] = {}
    _scale: Tensor

    def __init__(
        self, irreps_in1: Written, irreps_in2: Written, irreps_out: Written, channels: int | None = None, *, partly: bool = False
    ) -> None:
        """Arguments as of `GauntTensorProduct`; an output has to be reached by one of the products."""
        super().__init__()
        outer, kinds = (irreps_in1, irreps_in2, irreps_out), self.operations
        found = shares(type(self).__name__, kinds.values(), outer, channels, partly=partly)
        made = {name: _KINDS[operation](*outer, channels, partly=True) for name, operation in kinds.items()}
        for name, layer in made.items():
            self.add_module(name, layer)
        first = next(iter(made.values()))
        self.irreps_in1, self.irreps_in2, self.irreps_out = first.irreps_in1, first.irreps_in2, first.irreps_out
        self.reached = {kind for layer in made.values() for kind in layer.reached}
        parts = [torch.full((item.dim,), share) for item, share in zip(self.irreps_out, found, strict=True)]
        self.register_buffer("_scale", torch.cat(parts), persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (..., irreps_in1.dim), y (..., irreps_in2.dim) -> (..., irreps_out.dim)."""
        return self._scale * sum(getattr(self, name)(x, y) for name in self.operations)


class CompleteGauntTensorProduct(_SumLayer):
    """Gaunt's product plus the curl, each with linear maps of its own: every triple of irreps that couples at all.

    With as many channels as degrees it is as expressive as the Clebsch-Gordan product (to L = 5, see `tpregistry.expressivity`).
    """

    operations = GAUNT_AND_CURL


class CompleteVectorSignalTensorProduct(_SumLayer):
    """Fields of vectors and, beside them, fields of scalars: every triple, also (0, 0, 0), which the vector product lacks.

    As the fields of "The Price of Freedom" in MACE, which have such a channel. Linear maps of either are its own.
    """

    operations = VECTORS_AND_SCALARS
