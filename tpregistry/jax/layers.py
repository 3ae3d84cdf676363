"""Operations that hosts do not have, as functions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from tpregistry.hosts import adapter_for
from tpregistry.jax.binding import convolution, device
from tpregistry.jax.graph import graph
from tpregistry.problem import Problem, bucket

Array = jax.Array


def tensor_product_conv(
    product: Any, x: Array, y: Array, w: Array, senders: Array, receivers: Array, nodes: int | None = None
) -> Array:
    """``out[r] = sum over edges s -> r of product(x[s], y[edge], w[edge])``: fused where a backend can, and where that is faster.

    ``product``: a Problem, or e3nn-jax's ``FunctionalTensorProduct``. x (senders, irreps_in1.dim), y (edges, irreps_in2.dim),
    w (edges, weight_numel) or (weight_numel,), of one dtype; senders and receivers (edges,), in any order; edges whose receiver
    is not there are dropped, as by `jax.ops.segment_sum` -> (nodes, irreps_out.dim), ``nodes`` being as many as x has rows
    unless given. Raises TypeError for shapes that do not fit.
    """
    x, y, w = (jnp.asarray(getattr(operand, "array", operand)) for operand in (x, y, w))
    adapter = adapter_for("jax")
    edges = graph(jnp.asarray(senders), jnp.asarray(receivers), len(x), len(x) if nodes is None else nodes)
    found = product if isinstance(product, Problem) else adapter.described(product, str(x.dtype))
    problem = found.convolution(bucket(edges.nodes)).at(shared_weights=w.ndim == 1, dtype=str(x.dtype))
    _check(problem, x, y, w, len(edges.senders))
    return convolution(problem, adapter.host(problem, device()), x, y, w, edges)


def _check(problem: Problem, x: Array, y: Array, w: Array, edges: int) -> None:
    expected = {
        "x": (len(x), problem.irreps_in1.dim),
        "y": (edges, problem.irreps_in2.dim),
        "w": (problem.weight_numel,) if w.ndim == 1 else (edges, problem.weight_numel),
    }
    for (name, shape), operand in zip(expected.items(), (x, y, w), strict=True):
        if operand.shape != shape:
            raise TypeError(f"{name}{list(operand.shape)}, but {edges} edges of {problem} ask for {list(shape)}")
