"""Every kind of array and of cotangent that JAX has: what e3nn-jax does, its errors included, under a compiled backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_derivatives import SymbolicZero

import tpregistry
from tests.jax.test_products import drawn
from tests.jax.test_unusual import outcome
from tpregistry_e3nn_jax.adapter import STOCK

pytestmark = pytest.mark.xla
IX, IY = "2x0e+1x1o", "0e+1o"
X, Y = drawn(IX, 0).array, drawn(IY, 1).array
SHAPE = (5, 16)
Product = Callable[[Any, Any], Any]


def deleted(product: Product) -> Any:
    x = X + 0
    x.delete()
    return product(x, Y)


def donated(product: Product) -> Any:
    """The second call finds its operand gone, where the platform takes it."""
    x, program = X + 0, jax.jit(lambda x: product(x, Y), donate_argnums=0)
    return program(x), program(x)


def forces_trained(reduced: Callable[[Any], Any]) -> Callable[[Product], Any]:
    """Training on forces where derivatives of the energy vanish."""

    def run(product: Product) -> Any:
        force = jax.grad(lambda x, y: reduced(product(x, y)), argnums=1)
        return jax.grad(lambda x, y: jnp.sum(force(x, y) ** 2), argnums=(0, 1))(X, Y)

    return run


def pulled(cotangent: Any) -> Callable[[Product], Any]:
    return lambda product: jax.vjp(lambda x, y: product(x, y), X, Y)[1](cotangent)


def symbolic_zeros(product: Product) -> Any:
    """Of two results one is used: the other's cotangent is a zero without numbers."""

    def backward(operands: Any, cotangents: Any) -> Any:
        given = [jnp.zeros(o.shape) if isinstance(c, SymbolicZero) else c for c, o in zip(cotangents, both_shapes, strict=True)]
        return jax.vjp(lambda x, y: (product(x, y), 2 * y), *operands)[1](tuple(given))

    both_shapes = jax.eval_shape(lambda: (product(X, Y), Y))
    both = jax.custom_vjp(lambda x, y: (product(x, y), 2 * y))
    both.defvjp(lambda x, y: (both(x.value, y.value), (x.value, y.value)), backward, symbolic_zeros=True)
    return jax.grad(lambda x, y: jnp.sum(both(x, y)[1]), argnums=(0, 1))(X, Y)


KINDS: dict[str, Callable[[Product], Any]] = {
    "absolute error": forces_trained(lambda out: jnp.sum(jnp.abs(out))),
    "signs": forces_trained(lambda out: jnp.sum(jnp.sign(out))),
    "nothing moves": forces_trained(lambda out: jnp.sum(jax.lax.stop_gradient(out))),
    "symbolic zeros": symbolic_zeros,
    "cotangent of zeros": pulled(jnp.zeros(SHAPE)),
    "cotangent broadcast by NumPy": pulled(np.broadcast_to(np.float32(1), SHAPE)),
    "cotangent of whole numbers": pulled(jnp.ones(SHAPE, int)),
    "float0 comes out": lambda p: jax.grad(lambda y, n: jnp.sum(p(X, y * n)), argnums=(0, 1), allow_int=True)(Y, 3),
    "float0 comes in": lambda p: jax.jvp(lambda y, n: p(X, y * n), (Y, 3), (Y, np.zeros((), jax.dtypes.float0))),
    "weak type": lambda p: jax.jit(lambda s: p(jnp.full((5, 5), s), jnp.full((5, 4), s)))(1.5),
    "numbers of one bit": lambda p: p(X > 0, Y > 0),
    "eight bits": lambda p: p(X.astype(jnp.float8_e4m3fn), Y.astype(jnp.float8_e4m3fn)),
    "keys": lambda p: p(jax.random.split(jax.random.key(0), (5, 5)), Y),
    "NumPy, columns first, backwards": lambda p: p(np.asfortranarray(X), np.asarray(Y)[::-1]),
    "deleted": deleted,
    "donated": donated,
    "a reference": lambda p: p(jax.new_ref(X), Y),
    "a reference's value": lambda p: p(jax.new_ref(X)[...], Y),
    "a shape alone": lambda p: p(jax.ShapeDtypeStruct(X.shape, X.dtype), Y),
    "in the host's memory": lambda p: p(jax.device_put(X, jax.memory.Space.Host), Y),
    "pinned to a device": lambda p: p(jax.device_put(X, jax.devices()[0]), Y),
    "infinite": lambda p: p(X.at[0, 0].set(jnp.inf), Y),
}


@pytest.mark.filterwarnings("ignore:tpregistry. cg-llvm raised", "ignore:Some donated buffers")
@pytest.mark.parametrize("name", KINDS)
def test_kinds(patched_jax: Any, name: str) -> None:
    def of(tensor_product: Any) -> Product:
        return lambda x, y: tensor_product(e3nn.IrrepsArray(IX, x), e3nn.IrrepsArray(IY, y)).array

    with tpregistry.use("cg-llvm,e3nn_jax"):
        ours = outcome(lambda: KINDS[name](of(e3nn.tensor_product)))
    theirs = outcome(lambda: KINDS[name](of(STOCK["tensor_product"])))
    if isinstance(theirs, type):
        assert ours is theirs
        return
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype != jax.dtypes.float0:
            low = 0.25 if a.dtype.itemsize == 1 else 1e-5
            np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=low, atol=low)
