"""A plan as plain jnp: what runs where there is no compiled kernel for a platform, and what is exported."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from tpregistry.jax.graph import Graph
from tpregistry.plan import Operand, Plan, Segment, Term

Array = jax.Array


def emit_jnp(plan: Plan) -> Callable[..., tuple[Array, ...]]:
    """A differentiable function of the plan's inputs, in order, that returns its outputs in the dtype of the inputs.

    With operands at the nodes of a graph it takes that too.
    """

    def run(*arrays: Array, graph: Graph | None = None) -> tuple[Array, ...]:
        inputs = {o.name: graph.gathered(o.site, a) if graph else a for o, a in zip(plan.inputs, arrays, strict=True)}
        batch = next(inputs[operand.name].shape[0] for operand in plan.inputs if operand.batched)
        sums = {operand.name: {} for operand in plan.outputs}
        for term in plan.terms:
            _add(sums[term.target.operand], term.target, _product(plan, term, inputs))
        found = ((o.site, _assembled(sums[o.name], o, batch, arrays[0].dtype)) for o in plan.outputs)
        return tuple(graph.summed(site, array) if graph else array for site, array in found)

    return run


def _product(plan: Plan, term: Term, inputs: dict[str, Array]) -> Array:
    values = [_read(segment, inputs[segment.operand]) for segment in term.factors]
    dtype = values[0].dtype
    subscripts, ones = plan.einsum(term)
    product = jnp.einsum(subscripts, *values, jnp.asarray(term.coefficients, dtype), jnp.ones(ones, dtype), optimize="optimal")
    return _placed(term.target, product)


def _read(segment: Segment, array: Array) -> Array:
    piece = array[..., segment.start : segment.stop].reshape(*array.shape[:-1], *segment.shape)
    return piece if segment.gather is None else piece[:, np.asarray(segment.gather)]


def _placed(segment: Segment, value: Array) -> Array:
    """As the segment lies in memory: one axis for channels and components, gathered positions added up."""
    if segment.gather is not None:
        value = jnp.zeros((len(value), *segment.shape), value.dtype).at[:, np.asarray(segment.gather)].add(value)
    lead = value.shape[: value.ndim - len(segment.shape)]
    return value.reshape(*lead, segment.stop - segment.start)


def _add(sums: dict[tuple[int, int], Array], segment: Segment, value: Array) -> None:
    key = segment.start, segment.stop
    sums[key] = sums[key] + value if key in sums else value


def _assembled(sums: dict[tuple[int, int], Array], operand: Operand, batch: int, dtype: jnp.dtype) -> Array:
    """Pieces side by side, zeros between them."""
    lead = (batch,) if operand.batched else ()
    parts, reached = [], 0
    for (start, stop), piece in sorted(sums.items(), key=lambda item: item[0]):
        parts += [jnp.zeros((*lead, start - reached), dtype)] if start > reached else []
        parts.append(piece)
        reached = stop
    parts += [jnp.zeros((*lead, operand.size - reached), dtype)] if operand.size > reached or not parts else []
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)
