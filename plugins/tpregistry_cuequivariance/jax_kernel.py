"""Segmented polynomials as one traceable JAX function: pieces in, products, pieces out."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tpregistry.jax.graph import Graph
from tpregistry.plan import Segment, plan_tensor_product
from tpregistry.problem import Problem
from tpregistry_cuequivariance.library import load, quiet
from tpregistry_cuequivariance.polynomial import Group, groups, turned_shape

Array = jax.Array


class CuequivarianceJaxKernel:
    """out = sum of groups; ``engine`` is the method, or methods, by which they run."""

    def __init__(self, problem: Problem, device: str) -> None:
        cue, self._cuex = load(device, "cuequivariance_jax")
        self._groups = groups(plan_tensor_product(problem), cue)
        self._methods = [method(group, device) for group in self._groups]
        self._pieces = [(place.start, place.stop - place.start) for place in problem.irreps_out.slices()]
        self.engine = "+".join(sorted(set(self._methods))) or "zeros"

    def __call__(self, x: Array, y: Array, w: Array, *, graph: Graph | None = None) -> Array:
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out).

        Of a convolution, x has a row for each sender, and out one for each receiver.
        """
        sums: dict[int, Array] = {}
        for group, name in zip(self._groups, self._methods, strict=True) if len(y) else ():
            for start, value in _product(self._cuex, group, name, x, y, w, graph):
                sums[start] = sums[start] + value if start in sums else value
        rows = len(x) if graph is None else graph.nodes
        parts = [sums[s] if s in sums else jnp.zeros((rows, size), x.dtype) for s, size in self._pieces if size]
        return jnp.concatenate(parts, axis=1) if parts else jnp.zeros((rows, 0), x.dtype)


def method(group: Group, device: str) -> str:
    """The library's kernel for GPUs where a polynomial has one index of copies, else its jnp code."""
    return "uniform_1d" if device.startswith("cuda") and group.uniform else "naive"


def _product(
    cuex: ModuleType, group: Group, name: str, x: Array, y: Array, w: Array, graph: Graph | None
) -> Iterator[tuple[int, Array]]:
    """Where each piece of out starts, and what is added to it.

    Edges to a receiver that is not there are added to a row after the last: in derivatives the library reads rows of receivers,
    and would read the last one for them.
    """
    operands = {"x": x, "y": y, "w": w if w.ndim == 2 else w[None]}
    inputs: list[Any] = [_read(getattr(group, key), operands[key]) for key in ("w", "x", "y") if getattr(group, key)]
    if group.ones:
        inputs.insert(0, jnp.ones((1, sum(prod(segment.shape) for segment in group.ones)), x.dtype))
    sizes = [prod(segment.shape) for segment in group.out]
    rows = len(x) if graph is None else graph.nodes
    shape = jax.ShapeDtypeStruct((rows if graph is None else rows + 1, sum(sizes)), x.dtype)
    indices = None if graph is None else _indices(group, graph)
    with quiet():
        (out,) = cuex.segmented_polynomial(group.polynomial, inputs, [shape], indices, method=name, math_dtype=str(x.dtype))
    for segment, part in zip(group.out, jnp.split(out[:rows], np.cumsum(sizes)[:-1], axis=1), strict=True):
        turned = part.reshape(rows, *turned_shape(segment))
        yield segment.start, jnp.moveaxis(turned, 1, -1).reshape(rows, -1)


def _indices(group: Group, graph: Graph) -> list[Array | None]:
    """Of each of the polynomial's operands: x is read at senders, the result added at receivers."""
    found: list[Array | None] = [None] * (group.x_place + 3)
    found[group.x_place], found[-1] = graph.senders, graph.receivers
    return found


def _read(pieces: tuple[Segment, ...], operand: Array) -> Array:
    """The pieces of an operand side by side, components before copies."""
    return jnp.concatenate([_turned(segment, operand) for segment in pieces], axis=1)


def _turned(segment: Segment, operand: Array) -> Array:
    piece = operand[:, segment.start : segment.stop].reshape(len(operand), *segment.shape)
    if segment.gather is not None:
        piece = piece[:, np.asarray(segment.gather)]
    if segment.components:
        piece = jnp.moveaxis(piece, -1, 1)
    return piece.reshape(len(operand), -1)
