"""How XLA's partitioner divides a compiled plan between devices: by samples, so that each computes its own.

To XLA a foreign call is a box whose operands it gathers. Here the samples are cut into as many shares as every mesh of the
devices may want. What is computed for each sample stays where it is; what all samples share is there on each device; and
a sum over samples is one partial sum per share, which XLA itself adds up. So no rule here needs the name of an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from math import gcd, prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.custom_partitioning import ArrayMapping, SdyShardingRule, custom_partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

Array = jax.Array
Run = Callable[..., Sequence[Array]]


def for_devices(context: Any, count: int) -> Any:
    """A lowering context that knows some devices, as `custom_partitioning` asks; which ones they are makes no difference to us.

    Would JAX give the program's own, it would refuse programs with several meshes, or with abstract ones.
    """
    module = context.module_context
    devices = tuple(jax.devices("cpu")[:count])
    return context.replace(module_context=module.replace(axis_context=replace(module.axis_context, device_assignment=devices)))


def by_samples(run: Run, own: Sequence[bool], kept: Sequence[bool], devices: int) -> Run:
    """The same function, as it may be divided between a number of devices.

    ``own`` says of each operand, ``kept`` of each result, whether it has a row per sample; other results are sums over
    samples. All rows lead.
    """

    def divided(*values: Array) -> Sequence[Array]:
        rows = next(len(value) for value, is_own in zip(values, own, strict=True) if is_own)
        shares = gcd(rows, devices) if rows else 1
        if shares == 1:
            return run(*values)
        results = jax.eval_shape(run, *values)
        cut = [_cut(value, shares) if is_own else value for value, is_own in zip(values, own, strict=True)]
        shapes = [value.shape[1:] for value, is_own in zip(values, own, strict=True) if is_own]
        found = _divisible(_of_shares(run, own, kept, shapes), own, kept, shares, devices, cut)(*cut)
        return [
            part.reshape(like.shape) if is_kept else part.sum(0).reshape(like.shape)
            for part, like, is_kept in zip(found, results, kept, strict=True)
        ]

    return divided


def _cut(value: Array, shares: int) -> Array:
    """(shares, rows of a share, size)."""
    return value.reshape(shares, len(value) // shares, prod(value.shape[1:]))


def _of_shares(run: Run, own: Sequence[bool], kept: Sequence[bool], shapes: Sequence[tuple[int, ...]]) -> Run:
    """What one device computes, of some of the shares: its own sums are in the first of those, zeros in the others."""

    def local(*values: Array) -> tuple[Array, ...]:
        lead = iter(shapes)
        shares = next(len(value) for value, is_own in zip(values, own, strict=True) if is_own)
        whole = [value.reshape(-1, *next(lead)) if is_own else value for value, is_own in zip(values, own, strict=True)]
        return tuple(
            _cut(result, shares) if is_kept else jnp.pad(result.reshape(1, 1, result.size), ((0, shares - 1), (0, 0), (0, 0)))
            for result, is_kept in zip(run(*whole), kept, strict=True)
        )

    return local


def _divisible(local: Run, own: Sequence[bool], kept: Sequence[bool], shares: int, devices: int, cut: Sequence[Array]) -> Run:
    """The function as one call that the partitioner asks how to divide; compiled programs are kept by what its name tells."""
    mesh = Mesh(np.array(jax.devices("cpu")[:devices]), ("devices",))
    everywhere = NamedSharding(mesh, PartitionSpec())

    def partition(_: Any, operands: Sequence[Any], results: Sequence[Any]) -> Any:
        split = _split(shares, [*results, *operands]) or everywhere
        return mesh, local, (split,) * len(results), tuple(split if is_own else everywhere for is_own in own)

    def infer(_: Any, operands: Sequence[Any], results: Sequence[Any]) -> Any:
        return (_split(shares, operands) or everywhere,) * len(results)

    call = custom_partitioning(local)
    call.def_partition(partition, infer, decode_shardings=False, sharding_rule=_rule(own, len(kept)))

    def named(*values: Array) -> Sequence[Array]:
        return call(*values)

    named.__name__ = "plan_" + sha256(str(jax.make_jaxpr(local)(*cut)).encode()).hexdigest()[:24]
    return jax.jit(named)


def _rule(own: Sequence[bool], results: int) -> SdyShardingRule:
    """Only the first axis, that of shares, may be divided, and then it is for all that have it."""
    cut = [*own, *(True for _ in range(results))]
    axes = [ArrayMapping("share", f"rows{n}", f"size{n}") if is_cut else ArrayMapping(f"size{n}") for n, is_cut in enumerate(cut)]
    others = tuple(axis for mapping in axes for axis in mapping if axis != "share")
    return SdyShardingRule(tuple(axes[: len(own)]), tuple(axes[len(own) :]), need_replication_factors=others)


def _split(shares: int, arrays: Sequence[Any]) -> Sharding | None:
    """How one of the arrays is divided between devices by shares alone; None where none is."""
    return next((array.sharding for array in arrays if len(array.shape) == 3 and _by_shares(array.sharding, shares)), None)


def _by_shares(sharding: Sharding | None, shares: int) -> bool:
    try:
        return sharding is not None and sharding.shard_shape((shares, 1, 1)) != (shares, 1, 1)
    except ValueError:  # it divides another axis, or unevenly
        return False
