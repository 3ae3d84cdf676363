"""The primitive around compiled plans: closed under jvp, transposition and batching, because plans are.

A compiled kernel sees whole batches and knows no transformation; JAX knows all of them and nothing of kernels. Each rule
here turns the plan into another plan and binds that. On platforms without a compiled kernel, and in exported programs, the
plan runs as plain jnp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import compress
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, partial_eval

from tpregistry.jax.emitter import emit_jnp
from tpregistry.jax.graph import Graph, side_by_side
from tpregistry.jax.interpreters import register
from tpregistry.jax.partition import by_samples, for_devices
from tpregistry.plan import Operand, Plan

Array = jax.Array
Compiled = Callable[[Plan], Callable[..., tuple[Array, ...]]]
"""Makes the function of a plan that is lowered, traceable by JAX; on a CPU, or on its ``platforms`` where it has them."""

Counts = tuple[int, int] | None
"""Nodes that send and that receive; None without a graph."""

plan_p = Primitive("tensor_product_plan")
plan_p.multiple_results = True


def call(plan: Plan, compiled: Compiled, *operands: Array, graph: Graph | None = None) -> tuple[Array, ...]:
    """The outputs of a plan; operands are (batch, size), or (size,) where all samples share them.

    Those at the nodes of a graph are (nodes, size).
    """
    index, counts = (graph.index, (graph.sending, graph.nodes)) if graph else ((), None)
    return tuple(plan_p.bind(*_varying_alike((*operands, *index)), plan=plan, compiled=compiled, counts=counts))


def _split(plan: Plan, values: Sequence[Array], counts: Counts) -> tuple[Sequence[Array], Graph | None]:
    """The operands of a plan, and the graph whose indices follow them."""
    count = len(plan.inputs)
    return values[:count], Graph(values[count], values[count + 1], *counts) if counts else None


def _varying_alike(operands: Sequence[Array]) -> list[Array]:
    """Inside `shard_map`, what all shards share is said to differ between them where another operand does."""
    axes = [_varying(jax.typeof(operand)) for operand in operands]
    union = frozenset().union(*axes)
    return [
        operand if own == union else jax.lax.pcast(operand, tuple(union - own), to="varying")
        for operand, own in zip(operands, axes, strict=True)
    ]


def _varying(aval: Any) -> frozenset[Any]:
    """The mesh axes over which a value differs between shards."""
    found = getattr(aval, "vma", None)
    return frozenset(aval.mat.varying if found is None else found)


def _abstract(*values: Any, plan: Plan, compiled: Compiled, counts: Counts) -> list[Any]:
    operands, graph = _split(plan, values, counts)
    rows = next(aval for aval, operand in zip(operands, plan.inputs, strict=True) if operand.batched and not operand.site)
    expected = [_shape(o, rows.shape[0], graph) for o in plan.inputs]
    edges = {aval.shape for aval in values[len(operands) :]} | {rows.shape[:1]}
    if [aval.shape for aval in operands] != expected or len({aval.dtype for aval in operands}) != 1 or len(edges) != 1:
        found = ", ".join(f"{aval.dtype}{list(aval.shape)}" for aval in values)
        raise TypeError(f"operands {found}, but the plan has {expected}, of one dtype, and an index per edge")
    plain = [ShapedArray(_shape(o, rows.shape[0], graph), rows.dtype) for o in plan.outputs]
    return [_sharded_like(rows, aval) for aval in plain] if _varying(rows) else plain


def _shape(operand: Operand, samples: int, graph: Graph | None) -> tuple[int, ...]:
    rows = graph.count(operand.site) if graph and operand.site else samples
    return (rows, operand.size) if operand.batched else (operand.size,)


def _sharded_like(rows: Any, aval: Any) -> Any:
    """Inside `shard_map`: on the same mesh, differing over the same axes."""
    whole = jax.sharding.NamedSharding(rows.sharding.mesh, jax.sharding.PartitionSpec(*(None for _ in aval.shape)))
    return aval.update(sharding=whole, manual_axis_type=rows.manual_axis_type)


plan_p.def_abstract_eval(_abstract)


@plan_p.def_impl
def _eager(*values: Array, plan: Plan, compiled: Compiled, counts: Counts) -> Sequence[Array]:
    with jax.disable_jit(False):  # under which this would be called for itself, without end
        return _jitted(plan, compiled, counts)(*values)


@cache
def _jitted(plan: Plan, compiled: Compiled, counts: Counts) -> Callable[..., Sequence[Array]]:
    return jax.jit(partial(plan_p.bind, plan=plan, compiled=compiled, counts=counts))


@cache
def _tangent(plan: Plan, given: tuple[bool, ...]) -> Plan:
    return plan.tangent(given)


@cache
def _transposed(plan: Plan, linear: tuple[bool, ...], given: tuple[bool, ...]) -> Plan:
    return plan.transposed(linear, given)


@cache
def _part(plan: Plan, used: tuple[bool, ...]) -> Plan:
    """The plan of some outputs; the operand with a row per sample by which they are counted stays."""
    whole = plan.part((True,) * len(plan.inputs), used)
    read = {factor.operand for term in whole.terms for factor in term.factors}
    counted = next(o for o in plan.inputs if o.batched and not o.site)
    return whole.part(tuple(o.name in read or o == counted for o in whole.inputs), (True,) * len(whole.outputs))


@cache
def _with_samples(plan: Plan, batched: tuple[bool, ...]) -> Plan:
    return plan.with_samples(batched)


def _jvp(primals: Sequence[Array], tangents: Sequence[Any], *, plan: Plan, compiled: Compiled, counts: Counts) -> Any:
    operands, graph = _split(plan, primals, counts)
    results = call(plan, compiled, *operands, graph=graph)
    moving = tangents[: len(operands)]
    given = tuple(not isinstance(tangent, ad.Zero) for tangent in moving)
    coming = (tangent for tangent, is_given in zip(moving, given, strict=True) if is_given)
    return results, call(_tangent(plan, given), compiled, *operands, *coming, graph=graph)


ad.primitive_jvps[plan_p] = _jvp


def _transpose(cotangents: Sequence[Any], *values: Any, plan: Plan, compiled: Compiled, counts: Counts) -> Sequence[Any]:
    operands, graph = _split(plan, values, counts)
    linear = tuple(ad.is_undefined_primal(operand) for operand in operands)
    given = tuple(not isinstance(cotangent, ad.Zero) for cotangent in cotangents)
    index = [None] * (len(values) - len(operands))
    if not any(given):
        return [*(ad.Zero(o.aval) if is_linear else None for o, is_linear in zip(operands, linear, strict=True)), *index]
    fixed = [operand for operand, is_linear in zip(operands, linear, strict=True) if not is_linear]
    coming = [cotangent for cotangent, is_given in zip(cotangents, given, strict=True) if is_given]
    found = iter(call(_transposed(plan, linear, given), compiled, *fixed, *coming, graph=graph))
    return [*(next(found) if is_linear else None for is_linear in linear), *index]


ad.primitive_transposes[plan_p] = _transpose


def _batch(values: Sequence[Array], axes: Sequence[Any], *, plan: Plan, compiled: Compiled, counts: Counts) -> Any:
    """Mapped samples are more samples, and mapped graphs a larger one. What all samples shared, mapped, is a row for each."""
    size = next(value.shape[axis] for value, axis in zip(values, axes, strict=True) if axis is not None)
    lengths = [_length(value, axis) for value, axis in zip(values, axes, strict=True)]
    samples = next(n for n, o in zip(lengths, plan.inputs, strict=False) if o.batched and not o.site)
    index = [_lead(value, axis, size) for value, axis in zip(values, axes, strict=True)][len(plan.inputs) :]
    graph = side_by_side(index[0], index[1], *counts) if counts else None
    rows = [o.batched or axis is not None for o, axis in zip(plan.inputs, axes, strict=False)]
    flat = [
        _flat(value, axis, o.batched, size, length if o.batched else samples) if row else value
        for value, axis, length, o, row in zip(values, axes, lengths, plan.inputs, rows, strict=False)
    ]
    results = call(_with_samples(plan, (*rows, *(True for _ in plan.outputs))), compiled, *flat, graph=graph)
    inner = _split(plan, values, counts)[1]
    each = [inner.count(o.site) if inner and o.site else samples for o in plan.outputs]
    folded = [r.reshape(size, n, o.size) for r, n, o in zip(results, each, plan.outputs, strict=True)]
    return [f if o.batched else f.sum(1) for f, o in zip(folded, plan.outputs, strict=True)], [0] * len(folded)


def _length(value: Array, axis: Any) -> int:
    """Rows of what is mapped."""
    return value.shape[0] if axis is None else value.shape[1 if axis == 0 else 0] if value.ndim > 1 else 1


def _lead(value: Array, axis: Any, size: int) -> Array:
    """The mapped axis first; what is not mapped is repeated."""
    return jnp.broadcast_to(value, (size, *value.shape)) if axis is None else jnp.moveaxis(value, axis, 0)


def _flat(operand: Array, axis: Any, batched: bool, size: int, rows: int) -> Array:
    """(mapped samples * rows, size of the operand)."""
    lead = operand[None] if axis is None else jnp.moveaxis(operand, axis, 0)
    lead = lead if batched else lead[:, None]
    return jnp.broadcast_to(lead, (size, rows, lead.shape[-1])).reshape(size * rows, lead.shape[-1])


batching.primitive_batchers[plan_p] = _batch


def _without_unused(used: Sequence[bool], equation: Any) -> tuple[list[bool], Any]:
    """Results that nobody reads are not computed, and what they alone depend on is not either."""
    if all(used) or not any(used):
        return [any(used)] * len(equation.invars), equation if any(used) else None
    plan = equation.params["plan"]
    part = _part(plan, tuple(used))
    needed = [o in part.inputs for o in plan.inputs] + [True] * (len(equation.invars) - len(plan.inputs))
    read, written = list(compress(equation.invars, needed)), list(compress(equation.outvars, used))
    return needed, equation.replace(invars=read, outvars=written, params=equation.params | {"plan": part})


partial_eval.dce_rules[plan_p] = _without_unused


def _portable(*values: Array, plan: Plan, compiled: Compiled, counts: Counts) -> tuple[Array, ...]:
    operands, graph = _split(plan, values, counts)
    return emit_jnp(plan)(*operands, graph=graph)


def _compiled(*values: Array, plan: Plan, compiled: Compiled, counts: Counts) -> tuple[Array, ...]:
    operands, graph = _split(plan, values, counts)
    return compiled(plan)(*operands, graph=graph) if graph else compiled(plan)(*operands)


register(plan_p, _portable)

_lower_portable = mlir.lower_fun(_portable, multiple_results=True)
_lower_compiled = mlir.lower_fun(_compiled, multiple_results=True)


def _divided(*values: Array, plan: Plan, compiled: Compiled, counts: Counts, devices: int) -> Sequence[Array]:
    """Each device computes its own samples; without a graph there are no indices."""
    run = partial(_compiled, plan=plan, compiled=compiled, counts=counts)
    own = [o.batched and not o.site for o in plan.inputs] + [True] * (len(values) - len(plan.inputs))
    kept = [o.batched and not o.site for o in plan.outputs]
    return by_samples(run, own, kept, devices)(*values)


_lower_divided = mlir.lower_fun(_divided, multiple_results=True)


def _lower_on(platform: str) -> Callable[..., Any]:
    def lower(context: Any, *operands: Any, **parameters: Any) -> Any:
        """An exported program may run where the compiled kernel is not; one for several devices is XLA's to divide.

        How was not tried on GPUs: several of them get plain jnp.
        """
        module, platforms = context.module_context, getattr(parameters["compiled"], "platforms", ("cpu",))
        devices = getattr(module.axis_context, "num_devices", 1)
        there = platform in platforms and (devices == 1 or platform == "cpu")
        if module.lowering_parameters.for_export or not there:
            return _lower_portable(context, *operands, **parameters)
        if devices == 1:
            return _lower_compiled(context, *operands, **parameters)
        return _lower_divided(for_devices(context, devices), *operands, **parameters, devices=devices)

    return lower


mlir.register_lowering(plan_p, _lower_portable)
for _platform in ("cpu", "cuda", "rocm"):
    mlir.register_lowering(plan_p, _lower_on(_platform), platform=_platform)
