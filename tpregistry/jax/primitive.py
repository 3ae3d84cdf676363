"""The primitive around compiled plans: closed under jvp, transposition and batching, because plans are.

A compiled kernel sees whole batches and knows no transformation; JAX knows all of them and nothing of kernels. Each rule
here turns the plan into another plan and binds that. On platforms without a compiled kernel, and in exported programs, the
plan runs as plain jnp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from tpregistry.jax.emitter import emit_jnp
from tpregistry.plan import Plan

Array = jax.Array
Compiled = Callable[[Plan], Callable[..., tuple[Array, ...]]]
"""Makes the function of a plan that is lowered on a CPU, traceable by JAX."""

plan_p = Primitive("tensor_product_plan")
plan_p.multiple_results = True


def call(plan: Plan, compiled: Compiled, *operands: Array) -> tuple[Array, ...]:
    """The outputs of a plan; operands are (batch, size), or (size,) where all samples share them."""
    return tuple(plan_p.bind(*_varying_alike(operands), plan=plan, compiled=compiled))


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


def _abstract(*operands: Any, plan: Plan, compiled: Compiled) -> list[Any]:
    rows = next(aval for aval, operand in zip(operands, plan.inputs, strict=True) if operand.batched)
    expected = [(rows.shape[0], o.size) if o.batched else (o.size,) for o in plan.inputs]
    if [aval.shape for aval in operands] != expected or len({aval.dtype for aval in operands}) != 1:
        found = ", ".join(f"{aval.dtype}{list(aval.shape)}" for aval in operands)
        raise TypeError(f"operands {found}, but the plan has {expected}, of one dtype")
    shapes = [(rows.shape[0], o.size) if o.batched else (o.size,) for o in plan.outputs]
    plain = [ShapedArray(shape, rows.dtype) for shape in shapes]
    return [_sharded_like(rows, aval) for aval in plain] if _varying(rows) else plain


def _sharded_like(rows: Any, aval: Any) -> Any:
    """Inside `shard_map`: on the same mesh, differing over the same axes."""
    whole = jax.sharding.NamedSharding(rows.sharding.mesh, jax.sharding.PartitionSpec(*(None for _ in aval.shape)))
    return aval.update(sharding=whole, manual_axis_type=rows.manual_axis_type)


plan_p.def_abstract_eval(_abstract)


@plan_p.def_impl
def _eager(*operands: Array, plan: Plan, compiled: Compiled) -> Sequence[Array]:
    return _jitted(plan, compiled)(*operands)


@cache
def _jitted(plan: Plan, compiled: Compiled) -> Callable[..., Sequence[Array]]:
    return jax.jit(partial(plan_p.bind, plan=plan, compiled=compiled))


@cache
def _tangent(plan: Plan, given: tuple[bool, ...]) -> Plan:
    return plan.tangent(given)


@cache
def _transposed(plan: Plan, linear: tuple[bool, ...], given: tuple[bool, ...]) -> Plan:
    return plan.transposed(linear, given)


@cache
def _with_samples(plan: Plan, batched: tuple[bool, ...]) -> Plan:
    return plan.with_samples(batched)


def _jvp(primals: Sequence[Array], tangents: Sequence[Any], *, plan: Plan, compiled: Compiled) -> Any:
    results = call(plan, compiled, *primals)
    given = tuple(not isinstance(tangent, ad.Zero) for tangent in tangents)
    moving = [tangent for tangent, is_given in zip(tangents, given, strict=True) if is_given]
    return results, call(_tangent(plan, given), compiled, *primals, *moving)


ad.primitive_jvps[plan_p] = _jvp


def _transpose(cotangents: Sequence[Any], *operands: Any, plan: Plan, compiled: Compiled) -> Sequence[Any]:
    linear = tuple(ad.is_undefined_primal(operand) for operand in operands)
    given = tuple(not isinstance(cotangent, ad.Zero) for cotangent in cotangents)
    if not any(given):
        return [ad.Zero(operand.aval) if is_linear else None for operand, is_linear in zip(operands, linear, strict=True)]
    fixed = [operand for operand, is_linear in zip(operands, linear, strict=True) if not is_linear]
    coming = [cotangent for cotangent, is_given in zip(cotangents, given, strict=True) if is_given]
    found = iter(call(_transposed(plan, linear, given), compiled, *fixed, *coming))
    return [next(found) if is_linear else None for is_linear in linear]


ad.primitive_transposes[plan_p] = _transpose


def _batch(operands: Sequence[Array], axes: Sequence[Any], *, plan: Plan, compiled: Compiled) -> Any:
    """Mapped samples are more samples. What all samples shared, mapped, is a row for each."""
    size = next(operand.shape[axis] for operand, axis in zip(operands, axes, strict=True) if axis is not None)
    samples = next(
        operand.shape[0] if axis is None else operand.shape[1 if axis == 0 else 0]
        for operand, axis, o in zip(operands, axes, plan.inputs, strict=True)
        if o.batched
    )
    mapped = [axis is not None for axis in axes]
    rows = [o.batched or is_mapped for o, is_mapped in zip(plan.inputs, mapped, strict=True)]
    flat = [
        _flat(operand, axis, o.batched, size, samples) if row else operand
        for operand, axis, o, row in zip(operands, axes, plan.inputs, rows, strict=True)
    ]
    results = call(_with_samples(plan, (*rows, *(True for _ in plan.outputs))), compiled, *flat)
    folded = [r.reshape(size, samples, o.size) for r, o in zip(results, plan.outputs, strict=True)]
    return [f if o.batched else f.sum(1) for f, o in zip(folded, plan.outputs, strict=True)], [0] * len(folded)


def _flat(operand: Array, axis: Any, batched: bool, size: int, samples: int) -> Array:
    """(mapped samples * samples, size of the operand)."""
    lead = operand[None] if axis is None else jnp.moveaxis(operand, axis, 0)
    lead = lead if batched else lead[:, None]
    return jnp.broadcast_to(lead, (size, samples, lead.shape[-1])).reshape(size * samples, lead.shape[-1])


batching.primitive_batchers[plan_p] = _batch


def _portable(*operands: Array, plan: Plan, compiled: Compiled) -> tuple[Array, ...]:
    return emit_jnp(plan)(*operands)


def _compiled(*operands: Array, plan: Plan, compiled: Compiled) -> tuple[Array, ...]:
    return compiled(plan)(*operands)


_lower_portable = mlir.lower_fun(_portable, multiple_results=True)
_lower_compiled = mlir.lower_fun(_compiled, multiple_results=True)


def _lower_on_cpu(context: Any, *operands: Any, **parameters: Any) -> Any:
    """An exported program may run where the compiled kernel is not."""
    exported = context.module_context.lowering_parameters.for_export
    return (_lower_portable if exported else _lower_compiled)(context, *operands, **parameters)


mlir.register_lowering(plan_p, _lower_portable)
mlir.register_lowering(plan_p, _lower_on_cpu, platform="cpu")
