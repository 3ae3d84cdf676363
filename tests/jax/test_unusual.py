"""Calls and settings that are rare: exactly what e3nn-jax does, under a forced backend and where it is the host that runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from e3nn_jax.legacy import FunctionalFullyConnectedTensorProduct, FunctionalTensorProduct

import tpregistry
from tests.jax.conftest import EASY
from tests.jax.test_products import drawn, same
from tpregistry.frame import frame
from tpregistry.jax import tensor_product_conv
from tpregistry.store import Outcome
from tpregistry.testing.conformance import examine
from tpregistry_cg import CgLlvm
from tpregistry_e3nn_jax.adapter import STOCK
from tpregistry_e3nn_jax.host import host_of, irreps_array

pytestmark = pytest.mark.xla

IX, IY = "2x0e+2x1o", "0e+1o"
PRODUCT = FunctionalFullyConnectedTensorProduct(IX, IY, "3x0e+2x1o")
WEIGHTS = [jax.random.normal(jax.random.PRNGKey(n), ins.path_shape) for n, ins in enumerate(PRODUCT.instructions)]
FLAT = jnp.concatenate([w.reshape(-1) for w in WEIGHTS])


def mapped(x: Any, y: Any) -> Any:
    """As haiku's modules map over samples."""
    return e3nn.utils.vmap(lambda a, b: PRODUCT.left_right(WEIGHTS, a, b))(x, y)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("irreps", [lambda: e3nn.Irrep.iterator(1), lambda: iter(["0e", "1o"])])
def test_irreps_to_keep_may_be_read_once_only(patched_jax: Any, irreps: Callable[[], Any], half: bool) -> None:
    """On the backend, and where it is the host that runs."""
    dtype = jnp.bfloat16 if half else jnp.float32
    x, y = drawn(IX, 0, dtype=dtype), drawn(IY, 1, dtype=dtype)
    with tpregistry.use("cg-llvm,e3nn_jax"):
        ours, theirs = (f(x, y, filter_ir_out=irreps()) for f in (e3nn.tensor_product, STOCK["tensor_product"]))
    assert ours.irreps == theirs.irreps != e3nn.Irreps("")
    np.testing.assert_allclose(ours.array.astype(float), theirs.array.astype(float), atol=0.02 if half else 2e-6)


def numbers(irreps: str, dtype: Any) -> Any:
    return e3nn.IrrepsArray(e3nn.Irreps(irreps), jnp.arange(e3nn.Irreps(irreps).dim).astype(dtype))


def with_negative_places() -> Any:
    return FunctionalTensorProduct("2x0e+1o", "1o", "2x1o", [(-2, -1, 0, "uvu", True)])


UNUSUAL = {
    "complex": lambda: e3nn.tensor_product(numbers("1o", jnp.complex64), numbers("1o", jnp.float32)),
    "whole numbers": lambda: PRODUCT.left_right(WEIGHTS, numbers(IX, int), numbers(IY, int)),
    "nothing kept": lambda: e3nn.tensor_product(drawn(IX, 0), drawn(IY, 1), filter_ir_out=["7o"]),
    "no irreps": lambda: e3nn.tensor_product(e3nn.IrrepsArray("", jnp.zeros((6, 0))), drawn(IY, 1, (6,))),
    "places from the end": lambda: with_negative_places().left_right(
        [jnp.ones((2, 1))], drawn("2x0e+1o", 0, ()), drawn("1o", 1, ())
    ),
    "a shorter sum": lambda: PRODUCT.left_right(FLAT[:-1], drawn(IX, 0, ()), drawn(IY, 1, ())),
    "two sets of weights": lambda: PRODUCT.left_right(jnp.tile(FLAT, 2), drawn(IX, 0, ()), drawn(IY, 1, ())),
    "no normalisation": lambda: e3nn.tensor_product(drawn(IX, 0), drawn(IY, 1), irrep_normalization=""),
}


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("name", UNUSUAL)
def test_the_host_answers(name: str, patched_jax: Any) -> None:
    with tpregistry.use("cg-llvm,e3nn_jax"):
        ours = outcome(UNUSUAL[name])
    patched_jax.unpatch()
    theirs = outcome(UNUSUAL[name])
    if isinstance(theirs, type):
        assert ours is theirs
    else:
        same(ours, theirs)


def test_numpys_float64_where_x64_is_off(forced: str) -> None:
    x = irreps_array(IX, np.random.default_rng(0).standard_normal((5, 8)))
    y = irreps_array(IY, np.random.default_rng(1).standard_normal((5, 4)))
    ours = jax.jit(lambda s: e3nn.tensor_product(x, y).array * s)(1.0)
    assert tpregistry.decisions()[-1].backend == "cg-llvm"
    theirs = jax.jit(lambda s: STOCK["tensor_product"](x, y).array * s)(1.0)
    assert ours.dtype == theirs.dtype == jnp.float32
    np.testing.assert_allclose(ours, theirs, atol=5e-6)


@pytest.mark.parametrize("function", [jax.jit(mapped), lambda x, y: jax.vmap(jax.jit(mapped))(x[:, None], y[:, None])])
def test_mapped_over_nothing(forced: str, function: Callable[..., Any]) -> None:
    out = function(drawn(IX, 0, (0,)), drawn(IY, 1, (0,)))
    assert out.array.shape[0] == 0
    assert out.array.shape[-1] == 9


def test_exported_for_any_number_of_mapped_samples(forced: str) -> None:
    (b,) = jax.export.symbolic_shape("b")
    shapes = (jax.ShapeDtypeStruct((b, size), jnp.float32) for size in (8, 4))

    def program(x: Any, y: Any) -> Any:
        return mapped(e3nn.IrrepsArray(IX, x), e3nn.IrrepsArray(IY, y)).array

    exported = jax.export.export(jax.jit(program))(*shapes)
    x, y = drawn(IX, 0, (6,)).array, drawn(IY, 1, (6,)).array
    np.testing.assert_allclose(exported.call(x, y), program(x, y), atol=2e-6)


def test_without_jit(forced: str) -> None:
    x, y = drawn(IX, 0), drawn(IY, 1)
    with jax.disable_jit():
        ours = e3nn.tensor_product(x, y)
    assert tpregistry.decisions()[-1].backend == "cg-llvm"
    same(ours, STOCK["tensor_product"](x, y))


@contextmanager
def debugged() -> Iterator[None]:
    """A process in which nothing is compiled and no array moves unasked."""
    names = {"jax_disable_jit": True, "jax_transfer_guard_host_to_device": "disallow", "jax_debug_nans": True}
    before = {name: getattr(jax.config, name) for name in names}
    try:
        for name, value in names.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def test_a_process_that_is_debugged_decides_as_others_do() -> None:
    """Its records are theirs too."""
    problem = EASY.at(batch=64)
    host = host_of(problem)
    with debugged():
        found = examine(CgLlvm(), problem, host, frame("jax"), "cpu")
    assert found.state is Outcome.OK, found


def test_nothing_is_kept_of_a_call(patched_jax: Any) -> None:
    operand = drawn("2x1o+3x0e", 0, (7,))
    with tpregistry.use("auto"), jax.checking_leaks():
        jax.jit(lambda a: e3nn.tensor_product(a, a).array)(operand)
    with tpregistry.use("auto"):
        e3nn.tensor_product(operand, operand)
    alive = weakref.ref(operand.array)
    del operand
    gc.collect()
    assert alive() is None


def test_senders_below_zero_count_from_the_end() -> None:
    generator = np.random.default_rng(0)
    sizes = ((5, EASY.irreps_in1.dim), (3, EASY.irreps_in2.dim), (3, EASY.weight_numel))
    x, y, w = (jnp.asarray(generator.standard_normal(size), jnp.float32) for size in sizes)
    receivers = jnp.array([0, 1, 1])
    found, right = (tensor_product_conv(EASY, x, y, w, jnp.array(senders), receivers, 2) for senders in ([-1, 0, 2], [4, 0, 2]))
    np.testing.assert_array_equal(found, right)
