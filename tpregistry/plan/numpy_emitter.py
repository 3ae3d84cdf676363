"""A plan as slow, obvious NumPy: the oracle of every other emitter, and the loopback backend's kernel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tpregistry.graph import Edges
from tpregistry.plan.plan import Array, Operand, Plan, Segment, Term


def emit_numpy(plan: Plan) -> Callable[..., tuple[Array, ...]]:
    """A function of the plan's inputs, in order, that returns its outputs; computes in the dtype of the inputs.

    With operands at the nodes of a graph it takes that too.
    """

    def run(*arrays: Array, graph: Edges | None = None) -> tuple[Array, ...]:
        inputs = {operand.name: _gathered(operand, array, graph) for operand, array in zip(plan.inputs, arrays, strict=True)}
        batch = next(len(inputs[operand.name]) for operand in plan.inputs if operand.batched)
        outputs = {operand.name: _zeros(operand, batch, arrays[0].dtype) for operand in plan.outputs}
        for term in plan.terms:
            _add(plan, term, inputs, outputs)
        return tuple(_summed(operand, outputs[operand.name], graph) for operand in plan.outputs)

    return run


def _gathered(operand: Operand, array: Array, graph: Edges | None) -> Array:
    return array[graph.at(operand.site)] if graph is not None and operand.site else array


def _summed(operand: Operand, array: Array, graph: Edges | None) -> Array:
    if graph is None or not operand.site:
        return array
    nodes = np.zeros((graph.count(operand.site), operand.size), array.dtype)
    np.add.at(nodes, graph.at(operand.site), array)
    return nodes


def _zeros(operand: Operand, batch: int, dtype: np.dtype) -> Array:
    return np.zeros((batch, operand.size) if operand.batched else (operand.size,), dtype)


def _add(plan: Plan, term: Term, inputs: dict[str, Array], outputs: dict[str, Array]) -> None:
    values = [_read(segment, inputs[segment.operand]) for segment in term.factors]
    coefficients = term.coefficients.astype(values[0].dtype)
    subscripts, ones = plan.einsum(term)
    product = np.einsum(subscripts, *values, coefficients, np.ones(ones, coefficients.dtype), optimize=True)
    _write(term.target, outputs[term.target.operand], product)


def _read(segment: Segment, array: Array) -> Array:
    piece = array[..., segment.start : segment.stop].reshape(*array.shape[:-1], *segment.shape)
    return piece if segment.gather is None else piece[:, list(segment.gather)]


def _write(segment: Segment, array: Array, value: Array) -> None:
    stored = value
    if segment.gather is not None:
        stored = np.zeros((len(value), *segment.shape), value.dtype)
        for place, position in enumerate(segment.gather):
            stored[:, position] += value[:, place]
    array[..., segment.start : segment.stop] += stored.reshape(*array.shape[:-1], segment.stop - segment.start)
