"""e3j's convolutions: its plain code, and the way to its fused kernels, with a stand-in for these."""

from dataclasses import replace
from typing import Any

import pytest

from tests.e3j import ffi
from tests.jax.test_convolution import NODES, PER_EDGE, SENDING, indices, operands
from tests.jax.test_transforms import TRANSFORMS, close
from tpregistry.building import build
from tpregistry.frame import frame
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.gate import Yardstick, verify
from tpregistry.jax.emitter import emit_jnp
from tpregistry.jax.graph import graph
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Mode, Problem
from tpregistry_e3j import E3j
from tpregistry_e3j.convolution import Fused
from tpregistry_e3nn_jax.adapter import Adapter

pytestmark = pytest.mark.xla

PROBLEM = (
    problem_from_irreps("4x0e+4x1o", "0e+1o", "4x0e+4x1o+4x1e", Mode.UVU, shared_weights=False, dtype="float64")
    .convolution(16)
    .at(batch=64)
)
"""Two paths of it add to one piece."""


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e3j.ops.convolution.ffi_call", ffi.ffi_call)


def evidence(kernel: Any, problem: Problem) -> Any:
    seam = frame("jax")
    yardstick = Yardstick(problem, Adapter().host(problem, "cpu"), seam, "cpu")
    return seam.isolated(lambda: verify(kernel, yardstick))


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gate_accepts_the_fused_form(dtype: str) -> None:
    problem = PROBLEM.at(dtype=dtype)
    found = evidence(Fused(problem), problem)
    assert found.ok, found.failures


def test_the_gate_accepts_its_plain_code() -> None:
    kernel = build(E3j(), PROBLEM, "cpu", "jax")
    assert kernel.engine == "gather + unfused + sum"
    found = evidence(kernel, PROBLEM)
    assert found.ok, found.failures


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("weighted", [True, False])
def test_edges_in_no_order_and_receivers_that_are_not_there(weighted: bool) -> None:
    """Shared weights, or none at all."""
    whole = problem_from_irreps("2x0e+2x1o", "0e+1o", None, Mode.UVU, shared_weights=True, dtype="float32")
    paths = tuple(replace(path, has_weight=weighted) for path in whole.paths)
    problem, edges = whole.convolution(4).at(batch=PER_EDGE.batch, paths=paths), graph(*indices(), SENDING, NODES)
    kernel, plain, inputs = Fused(problem), emit_jnp(plan_tensor_product(problem)), operands(problem)
    ours, theirs = (
        TRANSFORMS["jit of grad"](function)
        for function in (lambda *o: kernel(*o, graph=edges), lambda *o: plain(*o, graph=edges)[0])
    )
    close(ours(*inputs), theirs(*inputs))
