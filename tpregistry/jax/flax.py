"""Products of signals as flax layers."""

from __future__ import annotations

from typing import Any, ClassVar

import e3nn_jax
import flax.linen as nn
from e3nn_jax.flax import Linear

from tpregistry.jax.many_body import contract, contraction, weights_shape
from tpregistry.jax.products import added, irreps_array, product
from tpregistry.signal_layers import GAUNT_AND_CURL, INSTEAD, VECTORS_AND_SCALARS, Written, layout, require_reached, shares


class SignalTensorProduct(nn.Module):
    """``Lin_out(product(Lin_1 x, Lin_2 y))``, as the layers of `tpregistry.torch`; x, y and the result are IrrepsArrays.

    ``operation``: gaunt, curl, vector_signal or matrix_product. ``channels``: as many as the largest multiplicity unless given.
    Raises ValueError for outputs to which no path leads; with ``partly`` they are zero. Parameters are named after the operation.
    """

    operation: str
    irreps_out: Written
    channels: int | None = None
    partly: bool = False

    @nn.compact
    def __call__(self, x: Any, y: Any) -> Any:
        """x (..., irreps), y (..., irreps) -> (..., irreps_out)."""
        laid = layout(self.operation, x.irreps, y.irreps, self.irreps_out, self.channels)
        if not self.partly:
            require_reached(self.operation, laid.outer, laid.reached, INSTEAD.get(self.operation, ""))

        def linear(name: str, operand: Any) -> Any:
            target = e3nn_jax.Irreps(str(laid.ends[name][1]))
            return Linear(target, force_irreps_out=True, name=f"{self.operation}_{name}")(operand)

        found = product(laid.problem, linear("in1", x), linear("in2", y))
        return linear("out", irreps_array(str(laid.problem.irreps_out), found))


class CompleteGauntTensorProduct(nn.Module):
    """Gaunt's product plus the curl, each with linear maps of its own, as the layer of `tpregistry.torch`.

    Raises ValueError for outputs that none of them reaches.
    """

    operations: ClassVar[dict[str, str]] = GAUNT_AND_CURL

    irreps_out: Written
    channels: int | None = None

    @nn.compact
    def __call__(self, x: Any, y: Any) -> Any:
        """x (..., irreps), y (..., irreps) -> (..., irreps_out)."""
        outer = x.irreps, y.irreps, self.irreps_out
        scales = shares(type(self).__name__, self.operations.values(), outer, self.channels)
        parts = [
            SignalTensorProduct(operation, self.irreps_out, self.channels, partly=True, name=name)(x, y)
            for name, operation in self.operations.items()
        ]
        return added(parts, scales)


class CompleteVectorSignalTensorProduct(CompleteGauntTensorProduct):
    """Fields of vectors plus fields of scalars, as the layer of `tpregistry.torch`; otherwise as `CompleteGauntTensorProduct`."""

    operations: ClassVar[dict[str, str]] = VECTORS_AND_SCALARS


class GauntSymmetricContraction(nn.Module):
    """MACE's symmetric contraction with Gaunt's product, as the layer of `tpregistry.torch`; x and the result are IrrepsArrays.

    One parameter, ``gaunt_weight`` (num_elements, correlation, degrees, channels). Raises ValueError for irreps that
    `gaunt_many_body` refuses.
    """

    irreps_out: Written
    correlation: int
    num_elements: int

    @nn.compact
    def __call__(self, x: Any, elements: Any) -> Any:
        """x (nodes, irreps), elements (nodes,) of integers -> (nodes, irreps_out)."""
        problem = contraction(x.irreps, self.irreps_out, self.correlation)
        drawn = nn.initializers.normal(self.correlation**-0.5)
        weights = self.param("gaunt_weight", drawn, weights_shape(problem, self.num_elements), x.dtype)
        return irreps_array(str(self.irreps_out), contract(problem, weights, x, elements))
