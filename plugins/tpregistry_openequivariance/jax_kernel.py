"""OpenEquivariance's product, and its convolution, in JAX.

Its rules of batching are left alone: the product of 0.7 has none, and those of the convolution take shared weights for weights
of each edge.
"""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp

from tpregistry.backend import Kernel
from tpregistry.jax.by_product import ByProduct
from tpregistry.jax.graph import Graph
from tpregistry.problem import Problem
from tpregistry_openequivariance.library import load_jax
from tpregistry_openequivariance.translation import ENGINES, theirs, weight_order, weight_signs

Array = jax.Array


def build(problem: Problem, device: str) -> Kernel:
    """The kernel of a problem."""
    return ByProduct(problem, Product, ("cuda", "rocm") if device.startswith("cuda") else (device,))


class Product:
    """As the library has it: differentiable to any order."""

    def __init__(self, problem: Problem) -> None:
        library = load_jax()
        self.engine = ENGINES[problem.operation]
        make = library.jax.TensorProductConv if problem.convolves else library.jax.TensorProduct
        with warnings.catch_warnings(), jax.ensure_compile_time_eval():  # it keeps arrays, and may be made while tracing
            warnings.simplefilter("ignore")
            self._product: Any = make(theirs(problem, library))
            self._order = weight_order(self._product, problem)
        self._signs = weight_signs(problem)
        self._size = problem.irreps_out.dim

    def __call__(self, x: Array, y: Array, w: Array, *, graph: Graph | None = None) -> Array:
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out).

        Nodes of its convolution send and receive; those that an edge is dropped at are one more.
        """
        rows = len(x) if graph is None else graph.nodes
        if not len(y):
            return jnp.zeros((rows, self._size), x.dtype)
        w = w if self._signs is None else w * self._signs
        w = w if self._order is None else w[..., self._order]
        if graph is None:
            return self._product(x, y, w)
        nodes = jnp.pad(x, ((0, max(0, rows + 1 - len(x))), (0, 0)))
        return self._product(nodes, y, w, graph.receivers, graph.senders)[:rows]
