"""Programs over four devices, each as it is and with nothing of ours: a line of JSON for each, of both.

    python sharded.py BACKEND

Said of a program: the largest number of the host's results and how far ours are from them, whether they are sharded as the
host's and have its types, and how many collectives of each kind XLA wrote. Last, under what names XLA sees two products that
differ in nothing but their coefficients.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
from e3nn_jax.legacy import FunctionalFullyConnectedTensorProduct
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import tpregistry
from tpregistry.jax import tensor_product_conv

Array = jax.Array
IN1, IN2, NODES = "8x0e+8x1o", "0e+1o", 6
CONNECTED = FunctionalFullyConnectedTensorProduct(IN1, IN2, "4x0e+4x1o")
CONVOLVED = FunctionalFullyConnectedTensorProduct(IN1, IN2, "4x0e+4x1o")


def called(x: Array, y: Array, w: Array) -> Array:
    """Without weights."""
    return e3nn.tensor_product(e3nn.IrrepsArray(IN1, x), e3nn.IrrepsArray(IN2, y)).array


def mapped(x: Array, y: Array, w: Array) -> Array:
    """With weights that all samples share, sample by sample."""
    single = jax.vmap(lambda x, y: CONNECTED.left_right(w, e3nn.IrrepsArray(IN1, x), e3nn.IrrepsArray(IN2, y)).array)
    return single(x, y)


def convolved(x: Array, y: Array, w: Array) -> Array:
    """Edges between six nodes."""
    senders, receivers = (jnp.asarray(np.random.default_rng(n).integers(0, NODES, len(y))) for n in range(2))
    return tensor_product_conv(CONVOLVED, x[:NODES], y, w, senders, receivers)


def energy(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *operands: jnp.sum(jnp.sin(function(*operands)))


def gradient(function: Callable[..., Array]) -> Callable[..., Any]:
    return jax.grad(energy(function), argnums=(0, 1, 2))


def training(function: Callable[..., Array]) -> Callable[..., Any]:
    """Gradients of a loss on forces."""
    forces = jax.grad(energy(function), argnums=1)
    return jax.grad(lambda *operands: jnp.sum(forces(*operands) ** 2), argnums=(0, 1, 2))


def tangent(function: Callable[..., Array]) -> Callable[..., Any]:
    return lambda x, y, w: jax.jvp(lambda x: function(x, y, w), (x,), (x,))


def stepped(function: Callable[..., Array]) -> Callable[..., Any]:
    return lambda x, y, w: jax.lax.scan(lambda c, t: (c + function(t * x, y, w)[:, :1], None), x[:, :1], jnp.arange(3.0))[0]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "called": called,
    "called, added to a sharded array": lambda x, y, w: called(x, y, w) + x[:, :1],
    "called, gradient": gradient(called),
    "called, in a scan": stepped(called),
    "mapped": mapped,
    "mapped, gradient": gradient(mapped),
    "mapped, training on forces": training(mapped),
    "mapped, tangent": tangent(mapped),
    "mapped, checkpoint": gradient(jax.checkpoint(mapped)),
    "convolved": convolved,
    "convolved, training on forces": training(convolved),
}
ROWS: dict[str, P] = {"all": P(("a", "b")), "outer": P("a"), "inner": P("b"), "turned": P(("b", "a")), "columns": P(None, "a")}
"""How x and y are sharded; weights are on each device."""

SOME = ("called", "mapped, training on forces")
PROGRAMS = [
    *(("Auto", "all", name, 16) for name in FUNCTIONS),
    *(("Explicit", "all", name, 16) for name in FUNCTIONS if not name.startswith("convolved")),  # JAX refuses its gather
    *(("Auto", rows, name, 16) for rows in ("outer", "inner", "turned", "columns") for name in SOME),
    ("Auto", "outer", SOME[1], 6),
]
"""The kind of mesh, how rows are sharded, the function, and the batch."""


def operands(kind: str, rows: str, batch: int) -> list[Array]:
    mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("a", "b"), axis_types=(getattr(AxisType, kind),) * 2)
    sizes = [(batch, e3nn.Irreps(IN1).dim), (batch, e3nn.Irreps(IN2).dim), (sum(w.size for w in weights()),)]
    specs = (ROWS[rows], ROWS[rows] if rows != "columns" else P(), P())
    generator = np.random.default_rng(0)
    arrays = [jnp.asarray(generator.standard_normal(size), jnp.float32) for size in sizes]
    return [jax.device_put(array, NamedSharding(mesh, spec)) for array, spec in zip(arrays, specs, strict=True)]


def weights() -> list[np.ndarray]:
    return [np.zeros(instruction.path_shape) for instruction in CONNECTED.instructions]


def run(function: Callable[..., Any], given: list[Array]) -> tuple[list[Array], list[str], str]:
    """Results, their types inside the program, and the compiled text."""
    types: list[str] = []

    def noted(*values: Array) -> Any:
        out = function(*values)
        types.extend(str(jax.typeof(leaf)) for leaf in jax.tree.leaves(out))
        return out

    compiled = jax.jit(noted).lower(*given).compile()
    return jax.tree.leaves(compiled(*given)), types, compiled.as_text() or ""


def compared(kind: str, rows: str, name: str, batch: int) -> dict[str, Any]:
    given = operands(kind, rows, batch)
    ours, types, text = run(FUNCTIONS[name], given)
    with tpregistry.use("off"):
        theirs, host_types, _ = run(FUNCTIONS[name], given)
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "far": max(float(jnp.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs),
        "scale": max(float(jnp.abs(np.asarray(b)).max()) for b in theirs),
        "sharded alike": all(a.sharding.is_equivalent_to(b.sharding, a.ndim) for a, b in pairs),
        "types alike": types == host_types,
        "collectives": {word: text.count(f" {word}(") for word in ("all-gather", "all-reduce", "all-to-all")},
        "calls": text.count("custom-call("),
    }


def names(normalization: str) -> list[str]:
    x, y, _ = operands("Auto", "all", 16)

    def function(x: Array, y: Array) -> Array:
        return e3nn.tensor_product(e3nn.IrrepsArray(IN1, x), e3nn.IrrepsArray(IN2, y), irrep_normalization=normalization).array

    return re.findall(r"@(plan_\w+)", jax.jit(function).lower(x, y).as_text())


if __name__ == "__main__":
    with tpregistry.use(sys.argv[1], log="off"):
        for case in PROGRAMS:
            print(json.dumps([list(case), compared(*case)]))
        print(json.dumps(["names", [names("component"), names("norm")]]))
