"""Every transformation of JAX on compiled kernels, against the same plan as plain jnp."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from tests.jax.conftest import EASY
from tpregistry import discovery
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.jax.emitter import emit_jnp
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.problem import Mode, Problem
from tpregistry.settings import Settings
from tpregistry_cg import CgLlvm

pytestmark = pytest.mark.xla

SHARED = problem_from_irreps("3x0e+2x1o", "0e+1o", None, Mode.UVU, shared_weights=True, dtype="float32").at(derivatives=1)
PER_SAMPLE = SHARED.at(shared_weights=False)


def functions(problem: Problem):
    """The compiled kernel, and the same product as jnp."""
    kernel = CgLlvm().build(problem, "cpu", "jax")
    plain = emit_jnp(plan_tensor_product(problem))
    return kernel, lambda *operands: plain(*operands)[0]


def operands(problem: Problem, batch: int = 5, seed: int = 0):
    sizes = [(batch, problem.irreps_in1.dim), (batch, problem.irreps_in2.dim), (batch, problem.weight_numel)]
    sizes[2] = sizes[2][1:] if problem.shared_weights else sizes[2]
    generator = np.random.default_rng(seed)
    return [jnp.asarray(generator.standard_normal(size), problem.dtype) for size in sizes]


def close(ours, theirs, tolerance: float = 2e-5) -> None:
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(jnp.abs(b).max(initial=0))))


@pytest.fixture(params=[SHARED, PER_SAMPLE], ids=["shared", "per sample"])
def problem(request) -> Problem:
    return request.param


def energy(function, x, y, w):
    return jnp.sum(jnp.sin(function(x, y, w)))


def forces(function, x, y, w):
    return -jax.grad(partial(energy, function), argnums=1)(x, y, w)


def loss(function, x, y, w):
    return jnp.sum(forces(function, x, y, w) ** 2) + energy(function, x, y, w)


TRANSFORMS = {
    "value": lambda f: f,
    "jit": jax.jit,
    "grad": lambda f: jax.grad(partial(energy, f), argnums=(0, 1, 2)),
    "jit of grad": lambda f: jax.jit(jax.grad(partial(energy, f), argnums=(0, 1, 2))),
    "grad of jit": lambda f: jax.grad(partial(energy, jax.jit(f)), argnums=(0, 1, 2)),
    "training on forces": lambda f: jax.grad(partial(loss, f), argnums=(0, 1, 2)),
    "third order": lambda f: jax.grad(lambda *o: jnp.sum(jax.grad(partial(loss, f), argnums=2)(*o) ** 2), argnums=(0, 1, 2)),
    "hessian": lambda f: jax.hessian(partial(energy, f), argnums=1),
    "jacfwd": lambda f: jax.jacfwd(f, argnums=(0, 1, 2)),
    "jacrev": lambda f: jax.jacrev(f, argnums=(0, 1, 2)),
    "jacfwd of jacrev": lambda f: jax.jacfwd(jax.jacrev(f, argnums=0), argnums=1),
    "jvp": lambda f: lambda *o: jax.jvp(f, o, tuple(2 * a for a in o)),
    "jvp of one": lambda f: lambda x, y, w: jax.jvp(lambda y: f(x, y, w), (y,), (y,)),
    "jvp of jvp": lambda f: lambda *o: jax.jvp(lambda *p: jax.jvp(f, p, o)[1], o, tuple(2 * a for a in o)),
    "linear transpose": lambda f: lambda x, y, w: jax.linear_transpose(lambda x: f(x, y, w), x)(f(x, y, w)),
    "checkpoint": lambda f: jax.grad(partial(energy, jax.checkpoint(f)), argnums=(0, 1, 2)),
    "unused operand": lambda f: jax.grad(lambda *o: jnp.sum(jax.lax.stop_gradient(f(*o))) + jnp.sum(o[0] ** 2)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name, problem):
    kernel, plain = functions(problem)
    given = operands(problem)
    close(TRANSFORMS[name](kernel)(*given), TRANSFORMS[name](plain)(*given), 2e-4 if name == "third order" else 2e-5)


AXES = [(0, 0, 0), (0, None, None), (None, 0, None), (None, None, 0), (1, 0, None), (2, 1, 0), (None, 1, 1), (0, 0, None)]


@pytest.mark.parametrize("axes", AXES, ids=str)
@pytest.mark.parametrize("inner", ["value", "training on forces"])
def test_mapped_over_any_operand(axes, inner, problem):
    kernel, plain = functions(problem)
    stacked = [
        o if axis is None else jnp.stack([o, 2 * o, -o], min(axis, o.ndim)) for o, axis in zip(operands(problem), axes, strict=True)
    ]
    bounded = tuple(axis if axis is None else min(axis, o.ndim - 1) for axis, o in zip(axes, stacked, strict=True))
    close(*(jax.vmap(TRANSFORMS[inner](function), bounded)(*stacked) for function in (kernel, plain)), 1e-4)


DEEP = ("third order", "hessian", "jacfwd of jacrev", "linear transpose", "checkpoint")


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "per sample"])
@pytest.mark.parametrize("backend", ["cg-dense", "cg-hoist"])
def test_backends_that_are_plain_functions(backend, shared):
    """They are JAX's to transform; that they let it is what this shows, with gradients of what is mapped over each operand."""
    problem = EASY.at(shared_weights=shared, derivatives=1)
    kernel = discovery.backends(Settings())[backend].backend.build(problem, "cpu", "jax")
    plain, given = functions(problem)[1], operands(problem, 3)
    for name in DEEP:
        close(*(jax.jit(TRANSFORMS[name](function))(*given) for function in (kernel, plain)), 2e-4)
    for axes in ((0, None, None), (None, 0, None), (None, None, 0), (0, 0, 0)):
        stacked = [o if axis is None else jnp.stack([o, -o]) for o, axis in zip(given, axes, strict=True)]
        inner = TRANSFORMS["training on forces"]
        close(*(jax.jit(jax.vmap(inner(function), axes))(*stacked) for function in (kernel, plain)), 1e-4)


def test_grad_of_mapped_twice(problem):
    kernel, plain = functions(problem)
    given = [jnp.stack([jnp.stack([o, -o]), jnp.stack([2 * o, o]), jnp.stack([o, 3 * o])]) for o in operands(problem)]

    def twice(function):
        return jax.grad(lambda *o: jnp.sum(jnp.sin(jax.vmap(jax.vmap(function))(*o))), argnums=(0, 1, 2))

    close(twice(kernel)(*given), twice(plain)(*given))


def test_scan(problem):
    kernel, plain = functions(problem)
    x, y, w = operands(problem)

    def total(function, x):
        def step(carry, scale):
            return (carry + jnp.sum(function(carry * scale, y, w)) * x, jnp.sum(carry))

        return jnp.sum(jax.lax.scan(step, x, jnp.linspace(0.01, 0.02, 4))[0])

    close(jax.jit(jax.grad(partial(total, kernel)))(x), jax.jit(jax.grad(partial(total, plain)))(x), 1e-4)


def test_while_and_cond(problem):
    kernel, plain = functions(problem)
    x, y, w = operands(problem)

    def run(function, flag):
        inside = jax.lax.cond(flag, lambda x: function(x, y, w), lambda x: 2 * function(x, y, w), x)
        return jax.lax.fori_loop(0, 3, lambda n, value: value + jnp.sum(function(x, y, w)), jnp.sum(inside))

    for flag in (True, False):
        close(jax.jit(partial(run, kernel))(flag), jax.jit(partial(run, plain))(flag), 1e-4)


def test_shard_map(problem):
    kernel, plain = functions(problem)
    given = operands(problem, 8)
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    rows, whole = PartitionSpec("batch"), PartitionSpec()
    specs = (rows, rows, whole if problem.shared_weights else rows)
    sharded = jax.shard_map(kernel, mesh=mesh, in_specs=specs, out_specs=rows)
    close(sharded(*given), plain(*given))
    close(jax.grad(partial(energy, sharded), argnums=(0, 1))(*given), jax.grad(partial(energy, plain), argnums=(0, 1))(*given))


def test_donated_operands(problem):
    kernel, plain = functions(problem)
    given = operands(problem)
    expected = plain(*given)
    close(jax.jit(kernel, donate_argnums=(0, 1))(*(o + 0 for o in given)), expected)


@pytest.mark.parametrize("batch", [0, 1, 2, 33, 3000])
def test_batches(batch, problem):
    kernel, plain = functions(problem)
    given = operands(problem, batch)
    close(jax.jit(kernel)(*given), plain(*given))
    close(TRANSFORMS["jit of grad"](kernel)(*given), TRANSFORMS["grad"](plain)(*given), 2e-4)


def test_many_at_once():
    """Independent calls of one program run side by side on XLA's threads, each split over them in turn."""
    kernel, plain = functions(PER_SAMPLE)
    many = [operands(PER_SAMPLE, 3000, seed) for seed in range(8)]
    for _ in range(5):
        close(jax.jit(lambda m: [kernel(*o) for o in m])(many), [plain(*o) for o in many])


def test_exported_programs_hold_nothing_of_ours(problem):
    kernel, plain = functions(problem)
    given = operands(problem)
    exported = jax.export.export(jax.jit(kernel), platforms=("cpu", "cuda"))(*given)
    assert "custom_call" not in exported.mlir_module()
    again = jax.export.deserialize(exported.serialize())
    close(again.call(*given), plain(*given))


def test_operands_of_another_dtype_or_size_are_an_error_and_no_crash():
    kernel, _ = functions(SHARED)
    x, y, w = operands(SHARED)
    with pytest.raises(TypeError, match="compiled for float32"), jax.enable_x64(True):
        jax.jit(kernel)(*(jnp.asarray(np.asarray(o), jnp.float64) for o in (x, y, w)))
    for bad in ((x[:, 1:], y, w), (x, y[1:], w), (x, y, w[1:]), (x.astype(jnp.bfloat16), y, w)):
        with pytest.raises(TypeError, match="the plan has"):
            kernel(*bad)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_plain_jnp_is_the_numpy_emitter(order, problem):
    plan = plan_tensor_product(problem)
    given = [np.asarray(o, np.float64) for o in operands(problem)]
    for _ in range(order):
        plan = plan.vjp()
        given += [
            np.random.default_rng(1).standard_normal((5, o.size) if o.batched else (o.size,)) for o in plan.inputs[len(given) :]
        ]
    with jax.enable_x64(True):
        close(emit_jnp(plan)(*map(jnp.asarray, given)), emit_numpy(plan)(*given), 1e-12)
