"""Products of signals as equinox layers."""

from __future__ import annotations

from typing import Any, ClassVar

import e3nn_jax
import equinox as eqx
import jax
from e3nn_jax.equinox import Linear

from tpregistry.jax.many_body import contract, contraction, weights_shape
from tpregistry.jax.products import added, irreps_array, product
from tpregistry.many_body import wanted
from tpregistry.problem import Problem
from tpregistry.signal_layers import GAUNT_AND_CURL, INSTEAD, VECTORS_AND_SCALARS, Written, layout, require_reached, shares


class SignalTensorProduct(eqx.Module):
    """``Lin_out(product(Lin_1 x, Lin_2 y))``, as the layers of `tpregistry.torch`; x, y and the result are IrrepsArrays.

    ``operation``: gaunt, curl, vector_signal or matrix_product. ``channels``: as many as the largest multiplicity unless given.
    """

    in1: Linear
    in2: Linear
    out: Linear
    problem: Problem = eqx.field(static=True)

    def __init__(
        self,
        operation: str,
        irreps_in1: Written,
        irreps_in2: Written,
        irreps_out: Written,
        channels: int | None = None,
        *,
        key: Any,
        partly: bool = False,
    ) -> None:
        """Raises ValueError for outputs to which no path leads; with ``partly`` they are zero."""
        laid = layout(operation, irreps_in1, irreps_in2, irreps_out, channels)
        if not partly:
            require_reached(operation, laid.outer, laid.reached, INSTEAD.get(operation, ""))
        made = [
            Linear(irreps_in=e3nn_jax.Irreps(str(a)), irreps_out=e3nn_jax.Irreps(str(b)), key=each, force_irreps_out=True)
            for (a, b), each in zip(laid.ends.values(), jax.random.split(key, 3), strict=True)
        ]
        self.in1, self.in2, self.out = made
        self.problem = laid.problem

    def __call__(self, x: Any, y: Any) -> Any:
        """x (..., irreps_in1), y (..., irreps_in2) -> (..., irreps_out)."""
        found = product(self.problem, self.in1(x), self.in2(y))
        return self.out(irreps_array(str(self.problem.irreps_out), found))


class CompleteGauntTensorProduct(eqx.Module):
    """Gaunt's product plus the curl, each with linear maps of its own, as the layer of `tpregistry.torch`."""

    operations: ClassVar[dict[str, str]] = GAUNT_AND_CURL

    parts: dict[str, SignalTensorProduct]
    shares: tuple[float, ...] = eqx.field(static=True)

    def __init__(
        self, irreps_in1: Written, irreps_in2: Written, irreps_out: Written, channels: int | None = None, *, key: Any
    ) -> None:
        """Raises ValueError for outputs that none of them reaches."""
        outer, kinds = (irreps_in1, irreps_in2, irreps_out), self.operations
        self.shares = tuple(shares(type(self).__name__, kinds.values(), outer, channels))
        keys = dict(zip(kinds, jax.random.split(key, len(kinds)), strict=True))
        self.parts = {
            name: SignalTensorProduct(kind, *outer, channels, key=keys[name], partly=True) for name, kind in kinds.items()
        }

    def __call__(self, x: Any, y: Any) -> Any:
        """x (..., irreps_in1), y (..., irreps_in2) -> (..., irreps_out)."""
        return added([part(x, y) for part in self.parts.values()], self.shares)


class CompleteVectorSignalTensorProduct(CompleteGauntTensorProduct):
    """Fields of vectors plus fields of scalars, as the layer of `tpregistry.torch`; otherwise as `CompleteGauntTensorProduct`."""

    operations: ClassVar[dict[str, str]] = VECTORS_AND_SCALARS


class GauntSymmetricContraction(eqx.Module):
    """MACE's symmetric contraction with Gaunt's product, as the layer of `tpregistry.torch`; x and the result are IrrepsArrays."""

    gaunt_weight: jax.Array
    problem: Problem = eqx.field(static=True)

    def __init__(self, irreps_in: Written, irreps_out: Written, correlation: int, num_elements: int, *, key: Any) -> None:
        """Raises ValueError for irreps that `gaunt_many_body` refuses."""
        self.problem = contraction(irreps_in, irreps_out, correlation)
        self.gaunt_weight = jax.random.normal(key, weights_shape(self.problem, num_elements)) / correlation**0.5

    def __call__(self, x: Any, elements: Any) -> Any:
        """x (nodes, irreps_in), elements (nodes,) of integers -> (nodes, irreps_out)."""
        return irreps_array(str(wanted(self.problem)), contract(self.problem, self.gaunt_weight, x, elements))
