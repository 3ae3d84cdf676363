"""What the tuner times in JAX: a layer of a model around the kernel, with every order of derivatives that a program may ask for."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.jax.conftest import EASY
from tests.jax.test_transforms import close
from tpregistry.frame import Host, frame
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.gate.cases import draw
from tpregistry.jax.patterns import layer, pattern
from tpregistry.problem import Mode, Problem
from tpregistry.resolution import Resolution
from tpregistry.select import Source
from tpregistry.settings import Settings
from tpregistry.tune.tuner import Bench, best_of
from tpregistry_cg import CgLlvm
from tpregistry_e3nn_jax.host import as_host, host_of

SMALL = EASY.at(batch=64, derivatives=1)


def arrays(problem: Problem, batch: int) -> list[Any]:
    values = draw(problem, batch, 0).values
    return [jnp.asarray(values[name], jnp.float32) for name in ("x", "y", "w", "g", "a", "b", "c")]


@pytest.mark.xla
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "per sample"])
def test_all_backends_are_timed_on_the_same_layer(shared: bool) -> None:
    """Messages of gathered features, scaled and summed at nodes, and what training on forces asks of them."""
    problem = SMALL.at(shared_weights=shared)
    kernels = host_of(problem).kernel, CgLlvm().build(problem, "cpu", "jax")
    out, forces, gradients = found = pattern(kernels[1], 2)(None, *arrays(problem, 40))
    close(found, pattern(kernels[0], 2)(None, *arrays(problem, 40)), 1e-4)
    assert out.shape == (3, problem.irreps_out.dim)
    assert len(forces) == (2 if shared else 3)
    assert len(gradients) == 3
    assert all(float(jnp.abs(each).max()) > 0 for each in (*forces, *gradients))


@pytest.mark.xla
def test_neighbours_are_gathered_scaled_and_summed() -> None:
    """By hand, in NumPy, from the kernel's own messages."""
    kernel, (x, y, w, *_) = CgLlvm().build(SMALL, "cpu", "jax"), arrays(SMALL, 40)
    senders, receivers = np.arange(40) * 7 % 3, np.arange(40) // 16
    messages = np.asarray(kernel(x[senders], y + y * y, w + w * w)) * (1 + np.asarray(y).sum(1, keepdims=True))
    expected = np.stack([messages[receivers == node].sum(0) for node in range(3)])
    np.testing.assert_allclose(layer(kernel, None)(x, y, w), expected, rtol=1e-4, atol=1e-4)


def slow_in_second_order(kernel: Any) -> Any:
    """The same function; whoever differentiates its gradient waits."""

    @jax.custom_vjp
    def passed(g: Any) -> Any:
        return g

    def wait(_: Any, g: Any) -> tuple[Any]:
        waited = jax.lax.fori_loop(0, 3000, lambda n, total: jnp.sin(total + 1), g)
        return (jnp.where(waited > 2, 0, g),)

    passed.defvjp(lambda g: (g, None), wait)

    @jax.custom_vjp
    def function(x: Any, y: Any, w: Any) -> Any:
        return kernel(x, y, w)

    function.defvjp(
        lambda *operands: (kernel(*operands), operands),
        lambda operands, g: tuple(map(passed, jax.vjp(kernel, *operands)[1](g))),
    )
    return function


@pytest.mark.xla
def test_what_wins_on_energies_must_not_lose_where_forces_are_trained_on() -> None:
    host, seam = host_of(SMALL), frame("jax")
    kernels = {"host": host.kernel, "turncoat": as_host(slow_in_second_order(host.kernel)).kernel}
    samples = {"host": [2.0] * 7, "turncoat": [1.0] * 7}  # with gradients
    bench = Bench(SMALL, Host("host", host.kernel, lambda: host.kernel), seam, "cpu", math.inf, 64)
    best, slower = best_of(bench, kernels, samples, 64)
    assert best == "host"
    assert "with derivatives of order 2" in slower["turncoat"][-1]


def test_every_order_is_asked_for() -> None:
    """A program's gradients are not seen while its products are traced."""
    assert frame("jax").other_orders(1) == (0, 2)
    assert frame("jax").other_orders(0) == ()


def test_scalings_are_measured_as_other_products_are(tmp_path: Any) -> None:
    """XLA writes e3nn-jax's slices and concatenations as loops that are slower than the product beside them."""
    scaling = problem_from_irreps("4x1o", "4x0e", None, Mode.UUU, shared_weights=True, dtype="float32").at(derivatives=1)
    assert scaling.is_scaling
    resolution = Resolution(scaling, host_of(scaling), frame("jax"), "cpu", Settings(cache_dir=tmp_path), 64)
    choice = resolution.foresee(may_measure=True)
    assert (choice.source, choice.measure) == (Source.TUNED, True)
