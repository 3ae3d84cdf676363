"""Products of signals in JAX: every backend through the gate, and as functions."""

from functools import partial

import e3nn_jax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from tpregistry_gaunt import GtpFourier, GtpGrid, GtpSeparable, GtpSeparableFft, Mtp

import tpregistry
from tpregistry import products
from tpregistry.frame import frame
from tpregistry.hosts import host_for
from tpregistry.jax import gaunt, gaunt_many_body, product
from tpregistry.many_body import gaunt_many_body as gaunt_many_body_problem
from tpregistry.problem import Problem
from tpregistry.signal_layers import shares
from tpregistry.store import Outcome
from tpregistry.testing.conformance import examine
from tpregistry.torch import GauntSymmetricContraction as TorchContraction
from tpregistry.torch import gaunt_many_body as torch_many_body
from tpregistry_cg import CgLlvm

pytestmark = pytest.mark.xla

NATURAL = "2x0e+2x1o+2x2e"
FIELD = str(products.vector_irreps(1, 2))
PROBLEMS = {
    "gaunt": products.gaunt(NATURAL, NATURAL, NATURAL),
    "curl": products.curl(NATURAL, NATURAL, "2x1e+2x2o"),
    "vector_signal": products.vector_signal(FIELD, FIELD, products.vector_irreps(1, 2, axial=True)),
    "matrix_product": products.matrix_product(NATURAL, NATURAL, "2x0e+2x1o+2x1e"),
}
CASES = [("gaunt", GtpGrid), ("gaunt", GtpFourier), ("gaunt", CgLlvm), ("curl", GtpGrid), ("vector_signal", GtpGrid)]
CASES += [("gaunt", GtpSeparable), ("curl", GtpSeparableFft)]


@pytest.mark.parametrize(("name", "backend"), [*CASES, ("matrix_product", Mtp)])
def test_backends_pass_the_gate(name: str, backend) -> None:
    problem: Problem = PROBLEMS[name].at(batch=64)
    outcome = examine(backend(), problem, host_for(problem, "jax", "cpu"), frame("jax"), "cpu")
    assert outcome.state is Outcome.OK, outcome


@pytest.mark.parametrize("name", ["gtp-grid", "gtp-llvm", "gtp-fourier", "off"])
def test_functions_run_on_the_backend_that_is_asked_for(name: str) -> None:
    x, y = (jax.random.normal(jax.random.key(seed), (4, 18)) for seed in (0, 1))
    expected = host_for(PROBLEMS["gaunt"], "jax", "cpu").kernel(x, y, jnp.zeros(0))
    with tpregistry.use(backend=name):
        found = jax.jit(lambda x, y: gaunt(x, y, NATURAL, NATURAL, NATURAL))(x, y)
    assert np.allclose(found, expected, atol=1e-5)
    assert tpregistry.decisions()[-1].backend == ("definition" if name == "off" else name)


def test_leading_dimensions_are_broadcast() -> None:
    x, y = jnp.ones((3, 1, 18)), jnp.ones((5, 18))
    assert product(PROBLEMS["gaunt"], x, y).shape == (3, 5, 18)
    with pytest.raises(TypeError, match="x and y end in 18 and 17 components"):
        product(PROBLEMS["gaunt"], x, y[:, :17])


SUMS = {"CompleteGauntTensorProduct": {"even", "odd"}, "CompleteVectorSignalTensorProduct": {"vector", "scalar"}}
IN1, IN2, OUT = "4x0e+3x1o", "2x0e+1o+1e", "3x0e+2x1o"


def flax_layer(operation: str, out: str, x, y):
    """Weights, and the layer as a function of them and its operands."""
    from tpregistry.jax import flax

    made = getattr(flax, operation) if operation in SUMS else partial(flax.SignalTensorProduct, operation)
    layer = made(out, channels=3)
    weights = layer.init(jax.random.key(2), x, y)
    names = SUMS.get(operation, {f"{operation}_{name}" for name in ("in1", "in2", "out")})
    assert set(weights["params"]) == names
    return weights, layer.apply


def equinox_layer(operation: str, out: str, x, y):
    """The same in equinox, where a layer is its weights."""
    from tpregistry.jax import equinox

    options = {"channels": 3, "key": jax.random.key(2)}
    made = getattr(equinox, operation) if operation in SUMS else partial(equinox.SignalTensorProduct, operation)
    layer = made(IN1, IN2, out, **options)
    return layer, type(layer).__call__


@pytest.mark.parametrize("operation", ["gaunt", "curl", "vector_signal", "matrix_product", *SUMS])
@pytest.mark.parametrize("make", [flax_layer, equinox_layer])
def test_layers_turn_with_their_inputs_and_train(operation: str, make) -> None:
    out = "2x1o" if operation == "curl" else OUT
    x, y = (e3nn_jax.normal(irreps, jax.random.key(seed), (5,)) for seed, irreps in enumerate((IN1, IN2)))
    weights, apply = make(operation, out, x, y)
    straight = jax.jit(apply)(weights, x, y)
    assert straight.irreps == out
    assert float(jnp.abs(straight.array).max()) > 0.1
    turn = -e3nn_jax.rand_matrix(jax.random.key(3))
    turned = apply(weights, x.transform_by_matrix(turn), y.transform_by_matrix(turn))
    assert np.allclose(turned.array, straight.transform_by_matrix(turn).array, atol=1e-5)
    gradients = jax.grad(lambda weights: (apply(weights, x, y).array ** 2).sum())(weights)
    assert sum(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(gradients)) >= 3  # a signal may go unused


@pytest.mark.parametrize("make", [flax_layer, equinox_layer])
def test_the_complete_layer_reaches_what_one_of_its_halves_does(make) -> None:
    """And names what none does."""
    x, y = e3nn_jax.IrrepsArray(IN1, jnp.ones((2, 13))), e3nn_jax.IrrepsArray(IN2, jnp.ones((2, 8)))
    with tpregistry.use(backend="off"), pytest.raises(ValueError, match=r"of 4x0e.3x1o and 2x0e.1x1o.1x1e never gives 1x3o"):
        make("CompleteGauntTensorProduct", "1x3o", x, y)


def test_products_that_reach_an_irrep_together_give_half_of_its_variance_each() -> None:
    assert shares("", ("gaunt", "curl"), ("1o", "1o", "0e+1e")) == [1.0, 1.0]
    assert shares("", ("gaunt", "curl"), (IN1, IN2, "0e+1e")) == [1.0, 0.5**0.5]
    assert shares("", ("vector_signal", "gaunt"), ("0e", "0e", "0e")) == [1.0]


def test_layers_name_outputs_that_no_path_reaches() -> None:
    from tpregistry.jax.equinox import SignalTensorProduct

    with pytest.raises(ValueError, match=r"gaunt of 1x1o and 1x1o never gives 1x1e: .*CompleteGaunt"):
        SignalTensorProduct("gaunt", "1o", "1o", "0e+1e", key=jax.random.key(0))


MANY_BODY = gaunt_many_body_problem("2x0e+2x1o+2x2e", "2x0e+2x1o", 3)


@pytest.mark.parametrize("backend", [GtpGrid, CgLlvm])
def test_powers_pass_the_gate(backend) -> None:
    """On one grid; and by a chain of products."""
    problem = MANY_BODY.at(batch=64)
    outcome = examine(backend(), problem, host_for(problem, "jax", "cpu"), frame("jax"), "cpu")
    assert outcome.state is Outcome.OK, outcome


@pytest.mark.parametrize("name", ["gtp-grid", "cg-llvm", "off"])
def test_powers_run_on_the_backend_that_is_asked_for(name: str) -> None:
    """The same as in torch, under jit and vmap, and with forces."""
    x = jax.random.normal(jax.random.key(0), (4, 18))
    expected = torch_many_body(torch.from_numpy(np.array(x)), 3, "2x0e+2x1o+2x2e", "2x0e+2x1o")

    def powers(x):
        return gaunt_many_body(x, 3, "2x0e+2x1o+2x2e", "2x0e+2x1o")

    with tpregistry.use(backend=name):
        for found in (jax.jit(powers)(x), jax.vmap(powers)(x), powers(x[:, None])):
            for ours, theirs in zip(found, expected, strict=True):
                assert np.allclose(ours.reshape(4, -1), theirs, atol=1e-4)
        force = jax.jit(jax.grad(lambda x: (jax.grad(lambda x: jnp.tanh(powers(x)[2]).sum())(x) ** 2).sum()))(x)
    assert tpregistry.decisions()[-1].backend == ("definition" if name == "off" else name)
    assert bool(jnp.isfinite(force).all())
    assert float(abs(force).max()) > 0


@pytest.mark.parametrize("library", ["flax", "equinox"])
def test_contractions_are_those_of_torch(library: str) -> None:
    """With the same weights; and a weight per element, power, degree and channel."""
    made = TorchContraction("2x0e+2x1o+2x2e", "2x0e+2x1o", correlation=3, num_elements=2)
    x, elements = e3nn_jax.normal("2x0e+2x1o+2x2e", jax.random.key(0), (5,)), jnp.array([0, 1, 1, 0, 1])
    weight = jnp.asarray(made.gaunt_weight.detach().numpy())
    with tpregistry.use(backend="gtp-grid"):
        if library == "flax":
            from tpregistry.jax.flax import GauntSymmetricContraction

            layer = GauntSymmetricContraction("2x0e+2x1o", correlation=3, num_elements=2)
            assert layer.init(jax.random.key(1), x, elements)["params"]["gaunt_weight"].shape == weight.shape
            found = jax.jit(layer.apply)({"params": {"gaunt_weight": weight}}, x, elements)
        else:
            import equinox

            from tpregistry.jax.equinox import GauntSymmetricContraction

            layer = GauntSymmetricContraction("2x0e+2x1o+2x2e", "2x0e+2x1o", 3, 2, key=jax.random.key(1))
            assert layer.gaunt_weight.shape == weight.shape
            same = equinox.tree_at(lambda layer: layer.gaunt_weight, layer, weight)
            found = equinox.filter_jit(same)(x, elements)
        expected = made(torch.from_numpy(np.array(x.array)), torch.from_numpy(np.array(elements)))
    assert str(found.irreps) == "2x0e+2x1o"
    assert np.allclose(found.array, expected.detach(), atol=1e-5)
