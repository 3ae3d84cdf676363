"""Stands in for the two CUDA kernels of e3j_ops 0.1 that convolve: their calls, in jnp; what calls them is e3j itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from e3j.ops.coef import Coef4D

Array = jax.Array


def ffi_call(name: str, shapes: Any) -> Callable[..., Any]:
    """As `jax.ffi.ffi_call`, with what e3j gives it besides."""
    kernel = {"convolution": _forward, "convolution_bwd": _backward}[name]
    return lambda *operands, num_nodes, debug: kernel(shapes, *operands, num_nodes=int(num_nodes))


def _forward(shape: Any, coef: Array, x: Array, y: Array, s: Array, sender: Array, pointers: Array, *, num_nodes: int) -> Array:
    owner = _owners(pointers, len(sender))
    blocks = _product(coef, (x[sender], y[..., None], s), shape.shape[1])
    return jax.ops.segment_sum(blocks, owner, num_nodes)


def _backward(
    shapes: Any,
    coefs: Array,
    x: Array,
    y: Array,
    s: Array,
    dm: Array,
    other: Array,
    pointers: Array,
    perm: Array,
    *,
    num_nodes: int,
) -> Any:
    """Edges are sorted by the nodes that own them, those of x; ``other`` are at the other end."""
    owner = _owners(pointers, len(other))
    left, right, ys, scalars = x[owner], dm[other], y[perm][..., None], s[perm]
    dx = jax.ops.segment_sum(_product(coefs[0], (right, ys, scalars), x.shape[1]), owner, num_nodes)
    dy = _product(coefs[1], (right, left, scalars), y.shape[1]).sum(-1)
    ds = _product(coefs[2], (right, ys, left), s.shape[1])
    return dx, jnp.zeros_like(y).at[perm].set(dy), jnp.zeros_like(s).at[perm].set(ds)


def _owners(pointers: Array, count: int) -> Array:
    """Of each edge; edges that no node owns get none that is there."""
    return jnp.searchsorted(pointers, jnp.arange(count), side="right") - 1


def _product(coef: Array, factors: tuple[Array, ...], size: int) -> Array:
    """(edges, size, copies): sums over non-zeros (result, first, second, third)."""
    unpacked = Coef4D.unpack(coef, factors[0].dtype)
    terms = unpacked.val[:, None] * jnp.ones_like(factors[0][:, :1])
    for column, factor in enumerate(factors, 1):
        terms = terms * factor[:, unpacked.idx[:, column]]
    return jnp.zeros((len(terms), size, terms.shape[-1]), terms.dtype).at[:, unpacked.idx[:, 0]].add(terms)
