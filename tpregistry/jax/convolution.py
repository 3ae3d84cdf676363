"""Convolutions in JAX that are not fused: gather, product, sum into receivers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from tpregistry.backend import Kernel
from tpregistry.jax.differentiable import differentiable
from tpregistry.jax.graph import Graph

Array = jax.Array


class Unfused:
    """The convolution that a kernel of the product makes between JAX's gather and sum: what programs write themselves."""

    def __init__(self, product: Kernel) -> None:
        self.engine = f"gather + {product.engine} + sum"
        self._product: Callable[..., Any] = differentiable(product)

    def __call__(self, x: Array, y: Array, w: Array, *, graph: Graph) -> Array:
        """x (senders, dim_in1), y (edges, dim_in2), w (edges, weight_numel) or (weight_numel,) -> out (receivers, dim_out)."""
        return graph.summed("receiver", self._product(graph.gathered("sender", x), y, w))
