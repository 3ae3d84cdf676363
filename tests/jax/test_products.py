"""The patched functions against e3nn-jax's own: irreps, zero flags and numbers."""

from __future__ import annotations

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from e3nn_jax.legacy import FunctionalFullyConnectedTensorProduct, FunctionalTensorProduct

import tpregistry
from tests.jax.conftest import force
from tpregistry_e3nn_jax.adapter import STOCK

pytestmark = pytest.mark.xla

IRREPS = ["4x0e+3x1o+2x2e", "0o+1e+2x1o+0e", "3x1o+2x0e+1o", "2x3o+0x1e+2x0e"]
ONE = ["0e+1o+2e", "1e+1o", "2x1o+0e"]


def drawn(irreps: str, seed: int, lead: tuple[int, ...] = (5,), dtype=jnp.float32):
    return e3nn.normal(e3nn.Irreps(irreps), jax.random.PRNGKey(seed), lead, dtype=dtype)


def same(ours, theirs) -> None:
    assert ours.irreps == theirs.irreps
    assert ours.zero_flags == theirs.zero_flags
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.array, theirs.array, rtol=0, atol=2e-6 * max(1.0, float(jnp.abs(theirs.array).max(initial=0))))


def both(name: str, *args, **kwargs):
    """Ours, which must have run on a backend, and the host's own."""
    before = sum(decision.calls for decision in tpregistry.decisions() if decision.kernel)
    ours = getattr(e3nn, name)(*args, **kwargs)
    assert sum(decision.calls for decision in tpregistry.decisions() if decision.kernel) == before + 1
    return ours, STOCK[name](*args, **kwargs)


@pytest.mark.parametrize("in1", IRREPS)
@pytest.mark.parametrize("in2", ONE)
def test_tensor_product(forced, in1, in2):
    same(*both("tensor_product", drawn(in1, 0), drawn(in2, 1)))


def test_tensor_product_on_each_backend(everywhere):
    same(*both("tensor_product", drawn(IRREPS[2], 0), drawn(ONE[2], 1)))


@pytest.mark.parametrize(
    "options",
    [
        {"filter_ir_out": "1o+2e"},
        {"filter_ir_out": ["0e", "1o"]},
        {"filter_ir_out": e3nn.Irrep("1o")},
        {"regroup_output": False},
        *({"irrep_normalization": name} for name in ("component", "norm", "none")),
    ],
    ids=str,
)
def test_options(forced, options):
    same(*both("tensor_product", drawn(IRREPS[1], 0), drawn(ONE[0], 1), **options))


def test_zero_chunks_stay_known_to_be_zero(forced):
    x = drawn("2x0e+2x1o+0e", 0)
    x = e3nn.from_chunks(x.irreps, [None, x.chunks[1], x.chunks[2]], (5,))
    y = drawn("0e+1o", 1)
    ours, theirs = both("tensor_product", x, y)
    assert any(theirs.zero_flags) is any(ours.zero_flags)
    same(ours, theirs)
    same(*both("tensor_product", x, y, regroup_output=False))


def test_all_zero_is_left_to_the_host(forced):
    x = e3nn.zeros("2x1o", (5,))
    zero = e3nn.from_chunks(x.irreps, [None], (5,), jnp.float32)
    assert e3nn.tensor_product(zero, drawn("1o", 1)).zero_flags == STOCK["tensor_product"](zero, drawn("1o", 1)).zero_flags


@pytest.mark.parametrize("lead", [((), ()), ((3, 1), (1, 4)), ((2, 3), (3,)), ((0,), (0,))], ids=str)
def test_leading_shapes(forced, lead):
    x, y = drawn(IRREPS[0], 0, lead[0]), drawn(ONE[0], 1, lead[1])
    same(e3nn.tensor_product(x, y), STOCK["tensor_product"](x, y))


def test_arrays_of_other_kinds(forced):
    x, y = np.random.default_rng(0).standard_normal((2, 7, 3)).astype(np.float32)
    wrapped = [e3nn.IrrepsArray("1o", array) for array in (x, y)]
    same(e3nn.tensor_product(*wrapped), STOCK["tensor_product"](*wrapped))
    whole = e3nn.IrrepsArray("1o", jnp.arange(3))
    same(e3nn.tensor_product(whole, whole), STOCK["tensor_product"](whole, whole))
    scalar = e3nn.tensor_product(2.0 * jnp.ones((3,)).sum()[None], e3nn.IrrepsArray("1o", jnp.ones(3)))
    assert scalar.irreps == "1o"


def test_half_precision(patched_jax, monkeypatch):
    force("cg-dense", monkeypatch)
    x, y = drawn(IRREPS[0], 0).astype(jnp.bfloat16), drawn(ONE[0], 1).astype(jnp.bfloat16)
    ours, theirs = both("tensor_product", x, y)
    assert ours.dtype == theirs.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(ours.array, np.float32), np.asarray(theirs.array, np.float32), atol=0.1)


def test_float64(forced):
    with jax.enable_x64(True):
        x, y = drawn(IRREPS[0], 0, dtype=jnp.float64), drawn(ONE[0], 1, dtype=jnp.float64)
        ours, theirs = both("tensor_product", x, y)
        assert ours.dtype == jnp.float64
        np.testing.assert_allclose(ours.array, theirs.array, rtol=0, atol=1e-12)
        mixed = e3nn.tensor_product(x, drawn(ONE[0], 1))
        assert mixed.dtype == STOCK["tensor_product"](x, drawn(ONE[0], 1)).dtype


def test_irreps_alone_are_answered_by_the_host(forced):
    assert e3nn.tensor_product("2x1e + 2e", "2e") == "1x0e+3x1e+3x2e+3x3e+1x4e"
    assert e3nn.tensor_square(e3nn.Irreps("2x1o")) == STOCK["tensor_square"]("2x1o")
    assert not tpregistry.decisions()


@pytest.mark.parametrize("options", [{}, {"filter_ir_out": ["0e", "1e"]}, {"irrep_normalization": "norm"}], ids=str)
def test_elementwise(forced, options):
    same(*both("elementwise_tensor_product", drawn("4x0e+3x1o+2x2e", 0), drawn("2x1o+5x0e+2x1e", 1), **options))


@pytest.mark.parametrize("irreps", ["3x0e+2x1o+2e", "1o+0e+1o", "4x1e"])
@pytest.mark.parametrize("normalization", ["component", "norm", "none"])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("regroup", [False, True])
def test_tensor_square(forced, irreps, normalization, normalized, regroup):
    options = {"irrep_normalization": normalization, "normalized_input": normalized, "regroup_output": regroup}
    same(*both("tensor_square", drawn(irreps, 0), **options))


def test_tensor_square_on_each_backend(everywhere):
    same(*both("tensor_square", drawn("4x0e+3x1o+2x2e", 0)))


MODES = [
    ("uvw", "2x1o", "3x1o", "4x0e", True),
    ("uvu", "2x1o", "3x1o", "2x0e", True),
    ("uvu", "2x1o", "3x1o", "2x0e", False),
    ("uvv", "2x1o", "3x1o", "3x0e", True),
    ("uuw", "3x1o", "3x1o", "4x2e", True),
    ("uuu", "3x1o", "3x1o", "3x1e", True),
    ("uuu", "3x1o", "3x1o", "3x1e", False),
    ("uvuv", "2x1o", "3x1o", "6x2e", True),
    ("uvu<v", "3x1o", "3x1o", "3x0e", True),
    ("u<vw", "3x1o", "3x1o", "4x0e", True),
]


@pytest.mark.parametrize(("mode", "in1", "in2", "out", "weighted"), MODES, ids=str)
@pytest.mark.parametrize("form", ["list", "flat"])
def test_functional_products(forced, mode, in1, in2, out, weighted, form):
    product = FunctionalTensorProduct(in1, in2, out, [(0, 0, 0, mode, weighted)])
    weights = [jax.random.normal(jax.random.PRNGKey(2), ins.path_shape) for ins in product.instructions if ins.has_weight]
    given = weights if form == "list" or not weights else jnp.concatenate([w.flatten() for w in weights])
    x, y = drawn(in1, 0, ()), drawn(in2, 1, ())
    ours = product.left_right(given, x, y)
    assert any(decision.kernel for decision in tpregistry.decisions())
    same(ours, STOCK["_left_right"](product, weights, x, y))


def test_functional_products_mapped(forced):
    product = FunctionalFullyConnectedTensorProduct("4x0e+3x1o", "2x0e+1o", "3x0e+2x1o+1e")
    weights = [jax.random.normal(jax.random.PRNGKey(n), ins.path_shape) for n, ins in enumerate(product.instructions)]
    x, y = drawn("4x0e+3x1o", 0, (6,)), drawn("2x0e+1o", 1, (6,))

    def mapped(function, axes):
        return e3nn.utils.vmap(lambda w, x, y: function(w, x, y), in_axes=axes)

    for axes, given in (((None, 0, 0), weights), ((0, 0, 0), [jnp.stack([(1 + n) * w for n in range(6)]) for w in weights])):
        ours = mapped(product.left_right, axes)(given, x, y)
        same(ours, mapped(lambda *operands: STOCK["_left_right"](product, *operands), axes)(given, x, y))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: e3nn.tensor_product(drawn("1o", 0), drawn("1o", 1), irrep_normalization="wrong"), ValueError),
        (lambda: e3nn.elementwise_tensor_product(drawn("2x1o", 0), drawn("1o", 1)), ValueError),
        (lambda: e3nn.tensor_product(drawn("1o", 0, (3,)), drawn("1o", 1, (4,))), ValueError),
    ],
)
def test_bad_calls_raise_what_the_host_raises(forced, call, error):
    with pytest.raises(error):
        call()
