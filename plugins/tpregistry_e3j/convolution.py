"""A convolution as e3j's fused one: gather, product, weights and sum in a CUDA kernel, over edges sorted by receivers.

It goes through `e3j.ops.convolution` with coefficients (out, x, y, weight) of ours, which may add several paths to one piece. Of
its orders of edges the one by senders is right for symmetric graphs and harmonics only, and is not used.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tpregistry.backend import Kernel
from tpregistry.jax.convolution import Unfused
from tpregistry.jax.graph import Graph
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Problem
from tpregistry_e3j.kernel import E3jKernel, assembled, components_first, entries_of, load

Array = jax.Array


def build(problem: Problem, device: str) -> Kernel:
    """Fused on a GPU; elsewhere e3j itself gathers, multiplies and sums."""
    return Fused(problem) if device.startswith("cuda") else Unfused(E3jKernel(problem.product, device))


class Fused:
    """Differentiable in reverse, to any order, and mapped, by e3j's rules; vectors of copies come last, edges in order."""

    engine = "fused_cuda"

    def __init__(self, problem: Problem) -> None:
        self._ops, self._coef = load("e3j.ops.convolution"), load("e3j.ops.coef")
        self._order = load("e3j.utils.options").GraphOrdering.RECEIVER
        self._problem, self._terms = problem, plan_tensor_product(problem).terms
        sizes = {term.target.start: term.target.shape[-1] for term in sorted(self._terms, key=lambda term: term.target.start)}
        self._pieces = dict(zip(sizes, zip([0, *accumulate(sizes.values())], sizes.values(), strict=False), strict=True))

    def __call__(self, x: Array, y: Array, w: Array, *, graph: Graph) -> Array:
        """x (senders, dim_in1), y (edges, dim_in2), w (edges, weight_numel) or (weight_numel,) -> out (receivers, dim_out)."""
        if not len(y):
            return jnp.zeros((graph.nodes, self._problem.irreps_out.dim), x.dtype)
        order = graph.order("receiver")
        ends = order.other, graph.receivers[order.edges]
        nodes = jnp.pad(x, ((0, max(0, graph.nodes + 1 - len(x))), (0, 0)))  # one of them for edges that are dropped
        sorted_weights = (w if w.ndim == 2 else jnp.broadcast_to(w, (len(y), len(w))))[order.edges]
        operands = components_first(self._problem, nodes), y[order.edges], self._scalars(sorted_weights, x.dtype)
        blocks = self._ops.convolution(self._coefficients(x.dtype), *operands, *ends, self._sizes(), self._order)
        return assembled(self._problem, self._turned(blocks[: graph.nodes]), graph.nodes, x.dtype)

    def _scalars(self, w: Array, dtype: jnp.dtype) -> Array:
        """(edges, paths, copies); where no path has weights, ones."""
        places = [term.factors[2] for term in self._terms if len(term.factors) > 2]
        copies = self._terms[0].target.shape[0]
        if not places:
            return jnp.ones((len(w), 1, copies), dtype)
        return jnp.stack([w[:, place.start : place.stop] for place in places], axis=1)

    def _coefficients(self, dtype: jnp.dtype) -> Array:
        """Non-zeros of all terms, packed as the kernel reads them; made anew for each trace, for it is an array."""
        values, indices = [], []
        for number, term in enumerate(self._terms):
            found, rows = entries_of(self._problem, term, self._pieces[term.target.start][0])
            values.append(found)
            indices.append(np.insert(rows, 3, number if len(term.factors) > 2 else 0, axis=1))
        rows = np.concatenate(indices)
        by_target = np.argsort(rows[:, 0], kind="stable")
        with jax.ensure_compile_time_eval():
            packed: Any = self._coef.Coef4D(np.concatenate(values)[by_target], rows[by_target], str(dtype), "int32")
            return packed.pack_jax()

    def _sizes(self) -> Any:
        components = sum(size for _, size in self._pieces.values())
        return self._ops.CUDAConvolutionParams(components, max(1, sum(len(term.factors) > 2 for term in self._terms)))

    def _turned(self, blocks: Array) -> dict[int, Array]:
        """(nodes, copies * components) of each piece, by where it starts."""
        pieces = ((place, blocks[:, start : start + size]) for place, (start, size) in self._pieces.items())
        return {place: jnp.swapaxes(piece, 1, 2).reshape(len(blocks), -1) for place, piece in pieces}
