"""What programs do with a kernel, and what the tuner therefore times: a layer around it, and that layer's derivatives.

Alone, a kernel is compared with less than the host's code does in a model, where XLA fuses it with its neighbours; and what a
foreign call costs them is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from tpregistry.backend import Kernel
from tpregistry.jax.differentiable import differentiable
from tpregistry.jax.graph import Graph, graph

Array = jax.Array
Within = Callable[[Kernel, Graph | None], Callable[[Array, Array, Array], Any]]
"""What is made of a kernel before it is differentiated: `layer`, or `function` for the kernel alone."""

KEPT = 8
"""Functions whose programs are kept: a candidate's, the host's and its reference's of each order.

A program takes up to thousands of memory maps, of which a Linux process may have 65,530: XLA ends it where none is left.
"""

NEIGHBOURS = 16
"""Edges per node in the layer of a product, whose samples are edges there."""


def function(kernel: Kernel, graph: Graph | None) -> Callable[..., Any]:
    """The kernel as a function of x, y and w; a convolution's is that of a graph."""
    return differentiable(kernel) if graph is None else partial(differentiable(kernel), graph=graph)


def layer(kernel: Kernel, edges: Graph | None) -> Callable[[Array, Array, Array], Array]:
    """The kernel among neighbours, as a function of x, y and w.

    Features come from nodes, harmonics and weights from functions of positions; messages are scaled and summed at nodes. A
    convolution gathers and sums by itself.
    """
    inner = function(kernel, edges)

    def message(x: Array, y: Array, w: Array) -> Array:
        return inner(x, _made(y), _made(w))

    def passed(x: Array, y: Array, w: Array) -> Array:
        around = _around(len(y))
        found = message(around.gathered("sender", x[: around.sending]), y, w)
        return around.summed("receiver", found * (1 + y.sum(-1, keepdims=True)))

    return message if edges else passed


def _made(values: Array) -> Array:
    """What a program computes on the way, cheaper than what it does in models: the race is to see the kernel."""
    return values + values * values


def _around(samples: int) -> Graph:
    """A graph with so many edges, of nodes that are not those of their neighbours in memory."""
    nodes, edges = -(-samples // NEIGHBOURS), jnp.arange(samples)
    return graph(edges * 7 % nodes, edges // NEIGHBOURS, nodes, nodes)


@lru_cache(maxsize=KEPT)
def pattern(kernel: Kernel, order: int, within: Within = layer) -> Callable[..., Any]:
    """A function of (graph or None, x, y, w, g, a, b, c), as one program: forward; with gradients; or training on forces.

    Forces are gradients by everything that has a row per sample, as positions reach it all.
    """

    def forward(graph: Any, x: Any, y: Any, w: Any, *cotangents: Any) -> Any:
        return within(kernel, graph)(x, y, w)

    def backward(graph: Any, x: Any, y: Any, w: Any, g: Any, *cotangents: Any) -> Any:
        out, pull = jax.vjp(within(kernel, graph), x, y, w)
        return out, pull(g[: len(out)])

    def force(graph: Any, x: Any, y: Any, w: Any, g: Any, *cotangents: Any) -> Any:
        places = (0, 1, 2) if w.ndim > 1 else (0, 1)

        def out_and_forces(*operands: Any) -> Any:
            given = lambda *moving: within(kernel, graph)(*moving, *operands[len(places) :])  # noqa: E731
            out, pull = jax.vjp(given, *operands[: len(places)])
            return out, pull(g[: len(out)])

        (out, forces), pull = jax.vjp(out_and_forces, x, y, w)
        return out, forces, pull((g[: len(out)], cotangents[: len(places)]))

    return jax.jit((forward, backward, force)[order])
