"""Products of signals in JAX: every backend through the gate, and as functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tpregistry_gaunt import GtpFourier, GtpGrid, Mtp

import tpregistry
from tpregistry import products
from tpregistry.frame import frame
from tpregistry.hosts import host_for
from tpregistry.jax import gaunt, product
from tpregistry.problem import Problem
from tpregistry.store import Outcome
from tpregistry.testing.conformance import examine
from tpregistry_cg import CgLlvm

NATURAL = "2x0e+2x1o+2x2e"
FIELD = str(products.vector_irreps(1, 2))
PROBLEMS = {
    "gaunt": products.gaunt(NATURAL, NATURAL, NATURAL),
    "curl": products.curl(NATURAL, NATURAL, "2x1e+2x2o"),
    "vector_signal": products.vector_signal(FIELD, FIELD, products.vector_irreps(1, 2, axial=True)),
    "matrix_product": products.matrix_product(NATURAL, NATURAL, "2x0e+2x1o+2x1e"),
}
CASES = [("gaunt", GtpGrid), ("gaunt", GtpFourier), ("gaunt", CgLlvm), ("curl", GtpGrid), ("vector_signal", GtpGrid)]


@pytest.mark.parametrize(("name", "backend"), [*CASES, ("matrix_product", Mtp)])
def test_backends_pass_the_gate(name: str, backend) -> None:
    problem: Problem = PROBLEMS[name].at(batch=64)
    outcome = examine(backend(), problem, host_for(problem, "jax", "cpu"), frame("jax"), "cpu")
    assert outcome.state is Outcome.OK, outcome


@pytest.mark.parametrize("name", ["gtp-grid", "gtp-fourier", "off"])
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
