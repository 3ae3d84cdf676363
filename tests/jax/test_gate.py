"""The zoo through the gate in JAX: some of it on `cg-llvm`; in `make test-all` all of it, on each backend."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import pytest

from tests.jax.conftest import BACKENDS, EASY, on_a_cpu
from tests.tiers import first, tier
from tpregistry import discovery
from tpregistry.frame import frame
from tpregistry.gate import Evidence, Yardstick, verify
from tpregistry.gate.cases import draw
from tpregistry.jax.frame import KEPT
from tpregistry.problem import Problem
from tpregistry.settings import Settings
from tpregistry.testing import zoo
from tpregistry_e3nn_jax import E3nnJax
from tpregistry_e3nn_jax.adapter import Adapter

pytestmark = pytest.mark.xla

WHOLE = tier() == "all"
SMALL = {dtype: [name for name in zoo(dtype) if not name.startswith("real")] for dtype in ("float32", "float64")}
SOME = {("float32", name) for name in SMALL["float32"][::6]} | {("float64", name) for name in SMALL["float64"][::24]}
"""Every sixth: XLA takes seconds for each."""
ANIMALS = first([(dtype, name) for dtype in SMALL for name in zoo(dtype)], SOME.__contains__)


CHECKED = on_a_cpu() if WHOLE else ["cg-llvm"]


def evidence(problem: Problem, names: Sequence[str]) -> dict[str, Evidence]:
    """By backend, of those that can do the problem; all are held against the same yardstick."""
    host_lacks = E3nnJax().supports(problem, "cpu").reasons
    if host_lacks:
        pytest.xfail("; ".join(map(str, host_lacks)))
    backends = {name: discovery.backends(Settings())[name].backend for name in names}
    able = {name: each for name, each in backends.items() if each and not each.supports(problem, "cpu", "jax").reasons}
    host, seam = Adapter().host(problem, "cpu"), frame("jax")

    def check() -> dict[str, Evidence]:
        yardstick = Yardstick(problem, host, seam, "cpu")
        return {name: verify(backend.build(problem, "cpu", "jax"), yardstick) for name, backend in able.items()}

    return seam.isolated(check)


@pytest.mark.parametrize(("dtype", "name"), ANIMALS)
def test_the_zoo(dtype: str, name: str) -> None:
    found = evidence(zoo(dtype)[name], CHECKED)
    print(f"{dtype}, {name}: {', '.join(found)}")
    assert {name for name in CHECKED if name.startswith("cg-")} <= set(found)
    assert {name: each.failures for name, each in found.items() if not each.ok} == {}


def test_two_of_it_on_every_backend() -> None:
    for name in ("mode uvw, shared weights", "both parities"):
        found = evidence(zoo("float32")[name], BACKENDS)
        assert set(found) == set(BACKENDS)
        assert {name: each.failures for name, each in found.items() if not each.ok} == {}


class Wrong:
    """A kernel with a fault that only derivatives show, or that shows at once."""

    engine = "wrong"

    def __init__(self, kernel, fault: str) -> None:
        self.kernel, self.fault = kernel, fault

    def __call__(self, x, y, w):
        import jax

        if self.fault == "sign":
            return -self.kernel(x, y, w)
        if self.fault == "gradient of w lost":
            return self.kernel(x, y, jax.lax.stop_gradient(w))
        if self.fault == "double backward":
            return _one_percent_in_second_order(self.kernel)(x, y, w)
        if self.fault == "out as of other rules":
            return _opaque_to_the_second_derivative(self.kernel)(x, y, w)
        if self.fault == "shape":
            return self.kernel(x, y, w)[:, :-1]
        return self.kernel(x, y, w).astype("float16").astype("float32")


def _one_percent_in_second_order(kernel):
    import jax

    @jax.custom_vjp
    def function(x, y, w):
        return kernel(x, y, w)

    def backward(operands, g):
        stopped = jax.lax.stop_gradient(operands)
        exact, wrong = (jax.vjp(kernel, *point)[1](g) for point in (stopped, operands))
        return tuple(e + 1.01 * (a - jax.lax.stop_gradient(a)) for e, a in zip(exact, wrong, strict=True))

    function.defvjp(lambda *operands: (kernel(*operands), operands), backward)
    return function


def _opaque_to_the_second_derivative(kernel):
    """Its own rule gives the first; where out is differentiated along with that, no rule applies any more."""
    import jax

    def opaque(*operands):
        return jax.lax.stop_gradient(kernel(*operands))

    function = jax.custom_vjp(opaque)
    function.defvjp(lambda *operands: (opaque(*operands), operands), lambda operands, g: jax.vjp(kernel, *operands)[1](g))
    return function


class Opaque:
    """A kernel that JAX cannot see into, and its derivatives, each another one."""

    engine = "opaque"

    def __init__(self, function, order: int = 2) -> None:
        self.function, self.order = function, order

    def __call__(self, *operands):
        import jax

        return jax.lax.stop_gradient(self.function(*operands)) if self.order else self.function(*operands)

    def vjp(self):
        import jax

        def gradients(*operands):
            *inputs, g = operands if self.order == 2 else (operands[:4], operands[4:])
            return jax.vjp(self.function, *inputs)[1](g) if self.order == 2 else jax.vjp(self.function, *inputs[0])[1](tuple(g))

        return Opaque(gradients, self.order - 1)


def test_kernels_that_bring_their_derivatives_are_right_where_a_loss_holds_energies_and_forces() -> None:
    import jax
    import numpy as np

    from tpregistry.jax.differentiable import differentiable

    host = Adapter().host(EASY, "cpu").kernel
    kernel = Opaque(host)
    x, y, w = (np.asarray(draw(EASY, 3, 0).values[name], np.float32) for name in "xyw")

    def loss(function, x):
        return (jax.grad(lambda y: (function(x, y, w) ** 2).sum())(y) ** 2).sum()

    found, expected = (jax.grad(loss, argnums=1)(function, x) for function in (differentiable(kernel), host))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fault", ["sign", "gradient of w lost", "double backward", "out as of other rules", "shape", "precision"])
def test_faults_are_noticed(fault: str) -> None:
    problem = zoo("float32")["both parities"]
    host, jax_frame = Adapter().host(problem, "cpu"), frame("jax")

    def check():
        return verify(Wrong(host.kernel, fault), Yardstick(problem, host, jax_frame, "cpu"))

    assert not jax_frame.isolated(check).ok


def test_programs_of_kernels_checked_long_ago_are_given_back() -> None:
    """A process has 65,530 memory maps, and XLA takes up to thousands for a program."""
    problem = EASY.at(batch=64)
    host, seam = Adapter().host(problem, "cpu"), frame("jax")
    kernels = [Wrong(host.kernel, "precision") for _ in range(KEPT + 2)]
    alive = [weakref.ref(kernel) for kernel in kernels]
    for kernel in kernels:
        seam.observe(kernel, draw(problem, 3, 0), "float32", "cpu", 0)
    del kernel, kernels
    gc.collect()
    assert sum(kernel() is not None for kernel in alive) == KEPT
