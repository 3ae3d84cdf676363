"""Programs whose arrays carry their sharding in their types (`jax.sharding.AxisType.Explicit`, the default of `jax.make_mesh`).

Our kernels have no rules for such types. As in all other programs, XLA's partitioner divides them, see `partition`; what they
return has the type that the host's own code would give it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

Array = jax.Array


def in_auto_mode(function: Callable[..., Array], operands: Sequence[Any], lead: int) -> Array:
    """``function(*operands)``, divided along its first ``lead`` axes where all operands that have more axes are."""
    types = [jax.typeof(operand) for operand in jax.tree.leaves(operands)]
    mesh = next((aval.sharding.mesh for aval in types if aval.sharding.mesh.explicit_axes), None)
    if mesh is None:
        return function(*operands)
    specs = [aval.sharding.spec for aval in types if aval.ndim > lead]
    agreed = [axes.pop() if len(axes) == 1 else None for axes in ({spec[n] for spec in specs} for n in range(lead))]
    like = NamedSharding(mesh, PartitionSpec(*agreed, None))
    inside: Any = jax.sharding.auto_axes(function, axes=mesh.explicit_axes, out_sharding=like)
    return inside(*operands)
