"""Convolutions in JAX: transformations of fused kernels against plain jnp, the gate, and the public function."""

from functools import partial
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tpregistry
from tests.jax.test_transforms import TRANSFORMS, close
from tpregistry.building import build
from tpregistry.frame import frame
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.gate import Yardstick, verify
from tpregistry.jax import tensor_product_conv
from tpregistry.jax.emitter import emit_jnp
from tpregistry.jax.graph import Graph, graph
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Mode, Problem
from tpregistry_cg import CgHoist, CgLlvm
from tpregistry_cuequivariance import CuequivarianceJax
from tpregistry_e3nn_jax.adapter import Adapter

pytestmark = pytest.mark.xla

SENDING, NODES, EDGES = 5, 4, 23
PER_EDGE = (
    problem_from_irreps("3x0e+2x1o", "0e+1o", None, Mode.UVU, shared_weights=False, dtype="float32")
    .convolution(4)
    .at(batch=16, derivatives=1)
)


FUSED = {"cg-llvm": CgLlvm(), "cuequivariance-jax": CuequivarianceJax()}
"""Backends with convolutions of their own."""

MATRIX = [("cg-llvm", name) for name in TRANSFORMS] + [
    (peer, name) for peer in FUSED for name in ("training on forces", "jvp", "linear transpose") if peer != "cg-llvm"
]
"""All on ours; of others, whose rules are theirs, reverse, forward and transposed once each: XLA takes long for them."""


@pytest.fixture(params=[False, True], ids=["per edge", "shared"])
def problem(request: pytest.FixtureRequest) -> Problem:
    return PER_EDGE.at(shared_weights=request.param)


def indices(seed: int = 0, edges: int = EDGES) -> tuple[jax.Array, jax.Array]:
    """Some receivers are not there, as in neighbour lists that are padded; the last node but one has no edge."""
    generator = np.random.default_rng(seed)
    receivers = generator.choice([0, 1, 3, NODES, -1], edges)
    return jnp.asarray(generator.integers(0, SENDING, edges)), jnp.asarray(receivers)


def operands(problem: Problem, edges: int = EDGES) -> list[jax.Array]:
    sizes = [(SENDING, problem.irreps_in1.dim), (edges, problem.irreps_in2.dim), (edges, problem.weight_numel)]
    sizes[2] = sizes[2][1:] if problem.shared_weights else sizes[2]
    generator = np.random.default_rng(1)
    return [jnp.asarray(generator.standard_normal(size), problem.dtype) for size in sizes]


def functions(problem: Problem, edges: Graph, backend: str = "cg-llvm") -> tuple[Any, Any]:
    """The fused kernel, and gather, plan as jnp, sum."""
    kernel: Any = FUSED[backend].build(problem, "cpu", "jax")
    plain = emit_jnp(plan_tensor_product(problem.product))

    def by_hand(x: jax.Array, y: jax.Array, w: jax.Array) -> jax.Array:
        messages = plain(x[edges.senders], y, w)[0]
        return jax.ops.segment_sum(messages, edges.receivers, NODES)

    return partial(kernel, graph=edges), by_hand


@pytest.mark.parametrize(("backend", "name"), MATRIX)
def test_transformations(backend: str, name: str, problem: Problem) -> None:
    edges = graph(*indices(), SENDING, NODES)
    fused, plain = functions(problem, edges, backend)
    inputs = operands(problem)
    close(TRANSFORMS[name](fused)(*inputs), TRANSFORMS[name](plain)(*inputs), 5e-5)


@pytest.mark.parametrize("backend", FUSED)
def test_mapped_graphs(backend: str, problem: Problem) -> None:
    """Padded graphs of one size, side by side; and gradients of them."""
    several = [indices(seed) for seed in range(3)]
    senders, receivers = (jnp.stack(ends) for ends in zip(*several, strict=True))
    x, y, w = operands(problem)
    xs = jnp.stack([x, 2 * x, -x])

    def fused(x: jax.Array, senders: jax.Array, receivers: jax.Array) -> jax.Array:
        return functions(problem, graph(senders, receivers, SENDING, NODES), backend)[0](x, y, w)

    def plain(x: jax.Array, senders: jax.Array, receivers: jax.Array) -> jax.Array:
        return functions(problem, graph(senders, receivers, SENDING, NODES))[1](x, y, w)

    def energy(function: Any, *o: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(jax.vmap(function)(*o)))

    close(jax.vmap(fused)(xs, senders, receivers), jax.vmap(plain)(xs, senders, receivers))
    close(jax.grad(partial(energy, fused))(xs, senders, receivers), jax.grad(partial(energy, plain))(xs, senders, receivers))


@pytest.mark.parametrize(("backend", "edges"), [("cg-llvm", 0), ("cg-llvm", 1), ("cuequivariance-jax", 0)])
def test_few_edges(backend: str, edges: int, problem: Problem) -> None:
    fused, plain = functions(problem, graph(*indices(0, edges), SENDING, NODES), backend)
    inputs = operands(problem, edges)
    close(fused(*inputs), plain(*inputs))
    close(TRANSFORMS["training on forces"](fused)(*inputs), TRANSFORMS["training on forces"](plain)(*inputs))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gate(dtype: str) -> None:
    """The fused kernel, and any product between gather and sum."""
    problem = PER_EDGE.at(dtype=dtype, batch=64, nodes=16, derivatives=2)
    seam = frame("jax")
    yardstick = Yardstick(problem, Adapter().host(problem, "cpu"), seam, "cpu")
    for backend in (*FUSED.values(), CgHoist()):
        found = seam.isolated(lambda backend=backend: verify(build(backend, problem, "cpu", "jax"), yardstick))
        assert found.ok, found.failures


def functional() -> Any:
    """As in a message of NequIP."""
    paths: Any = [(0, 0, 0, "uvu", True), (0, 1, 1, "uvu", True), (1, 0, 1, "uvu", True), (1, 1, 0, "uvu", True)]
    irreps = (e3nn.Irreps(rep) for rep in ("4x0e+4x1o", "0e+1o", "4x0e+4x1o"))
    return e3nn.legacy.FunctionalTensorProduct(*irreps, paths)


@pytest.mark.parametrize("backend", ["cg-llvm", "cg-dense", "cuequivariance-jax", "e3nn_jax", "auto"])
def test_the_function_runs_what_is_decided(backend: str, clean: None) -> None:
    product, (senders, receivers) = functional(), indices()
    generator = np.random.default_rng(2)
    x, y, w = (jnp.asarray(generator.standard_normal(size), jnp.float32) for size in ((SENDING, 16), (EDGES, 4), (EDGES, 16)))

    def by_hand(x: jax.Array, y: jax.Array, w: jax.Array) -> jax.Array:
        def single(x: jax.Array, y: jax.Array, w: jax.Array) -> jax.Array:
            left, right = e3nn.IrrepsArray(product.irreps_in1, x), e3nn.IrrepsArray(product.irreps_in2, y)
            return product.left_right(w, left, right).array

        there = (receivers >= 0) & (receivers < NODES)
        return jax.ops.segment_sum(jax.vmap(single)(x[senders], y, w), jnp.where(there, receivers, NODES), NODES)

    with tpregistry.use(backend):
        convolve = jax.jit(lambda *o: tensor_product_conv(product, *o, senders, receivers, NODES))
        found = convolve(x, y, w), jax.grad(lambda *o: jnp.sum(convolve(*o) ** 2), argnums=(0, 1, 2))(x, y, w)
        ran = tpregistry.decisions()[-1]
    close(found, (by_hand(x, y, w), jax.grad(lambda *o: jnp.sum(by_hand(*o) ** 2), argnums=(0, 1, 2))(x, y, w)))
    assert ran.problem.convolves
    assert backend == "auto" or ran.backend == backend


def test_what_does_not_fit_is_refused() -> None:
    x, y, w = operands(PER_EDGE)
    senders, receivers = indices()
    with pytest.raises(TypeError, match="23 edges of conv of"):
        tensor_product_conv(PER_EDGE, x, y[:-1], w, senders, receivers)
    with pytest.raises(TypeError, match="23 senders, but 22 receivers"):
        tensor_product_conv(PER_EDGE, x, y, w, senders, receivers[:-1])
    with pytest.raises(TypeError, match="integers of shape"):
        tensor_product_conv(PER_EDGE, x, y, w, senders.astype(float), receivers)
    with pytest.raises(TypeError, match="neither a Problem nor"):
        tensor_product_conv("0e", x, y, w, senders, receivers)


def test_a_graph_has_no_fewer_than_no_nodes() -> None:
    import jax.numpy as jnp

    from tpregistry.jax.graph import graph

    index = jnp.zeros(3, int)
    with pytest.raises(ValueError, match="at least 0 of each"):
        graph(index, index, 3, -1)
