"""OpenEquivariance in JAX with a stand-in that follows its sources: under the gate, and under transformations that it lacks."""

import os
import sys
from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from tests.jax.test_convolution import EDGES, NODES, PER_EDGE, SENDING, indices, operands
from tests.jax.test_transforms import SHARED, TRANSFORMS, close, energy
from tests.jax.test_transforms import operands as samples
from tests.openequivariance import fake_jax
from tpregistry.frame import frame
from tpregistry.gate import Yardstick, verify
from tpregistry.jax.emitter import emit_jnp
from tpregistry.jax.graph import graph
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Problem
from tpregistry.testing import zoo
from tpregistry_e3nn_jax.adapter import Adapter
from tpregistry_openequivariance import OpenequivarianceJax


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found = fake_jax.library()
    monkeypatch.setitem(sys.modules, "openequivariance", found)
    return found


CASES = [("float64", "signs of e3nn 0.4.4", True), ("float32", "mode uvw, shared weights", False)]


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "name", "convolves"), CASES)
def test_the_gate(dtype: str, name: str, convolves: bool) -> None:
    problem = zoo(dtype)[name].at(batch=64)
    problem = problem.convolution(16) if convolves else problem
    assert OpenequivarianceJax().supports(problem, "cuda", "jax").ok
    seam = frame("jax")
    yardstick = Yardstick(problem, Adapter().host(problem, "cpu"), seam, "cpu")
    found = seam.isolated(lambda: verify(OpenequivarianceJax().build(problem, "cpu"), yardstick))
    assert found.ok, found.failures


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shared"), [("training on forces", False), ("jacfwd of jacrev", True), ("linear transpose", False)]
)
def test_transformations_of_convolutions(name: str, shared: bool) -> None:
    """Forward and reverse; edges to receivers that are not there."""
    problem, edges = PER_EDGE.at(shared_weights=shared), graph(*indices(), SENDING, NODES)
    fused, plain = functions(problem, graph=edges)
    inputs = operands(problem, EDGES)
    close(TRANSFORMS[name](fused)(*inputs), TRANSFORMS[name](plain)(*inputs), 2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("axes", [(0, 0, None), (0, None, 0)])
def test_mapped_with_gradients(axes: tuple[int | None, ...]) -> None:
    """Weights that all samples share are shared by mapped ones, or mapped themselves."""
    given = [o if axis is None else jnp.stack([o, 2 * o, -o]) for o, axis in zip(samples(SHARED), axes, strict=True)]
    gradients = [jax.vmap(jax.grad(partial(energy, f), argnums=(0, 1, 2)), axes)(*given) for f in functions(SHARED)]
    close(*gradients)


def functions(problem: Problem, **graph: Any) -> tuple[Any, Any]:
    """The library's, and the plan as jnp."""
    plain = emit_jnp(plan_tensor_product(problem))
    return partial(OpenequivarianceJax().build(problem, "cpu"), **graph), lambda *o: plain(*o, **graph)[0]


def test_exported_programs_hold_nothing_of_it(library: ModuleType) -> None:
    kernel, given = functions(SHARED)[0], samples(SHARED)
    exported = jax.export.export(jax.jit(kernel), platforms=("cpu", "cuda"))(*given)
    close(exported.call(*given), kernel(*given))


@pytest.mark.slow
def test_on_a_gpu_it_is_lowered_there_only() -> None:
    """On a CPU what was built for a GPU is plain jnp."""
    kernel: Any = OpenequivarianceJax().build(SHARED, "cuda")
    kernel._compiled.product = None
    close(kernel(*samples(SHARED)), functions(SHARED)[1](*samples(SHARED)))


def test_too_many_nodes_for_its_indices() -> None:
    wide = PER_EDGE.convolution(4**14)
    assert [reason.code for reason in OpenequivarianceJax().supports(wide, "cuda", "jax").reasons] == ["TP126"]


def test_a_library_without_its_extension_is_a_reason(library: ModuleType) -> None:
    library.jax, library.error = object(), ImportError("No module named 'openequivariance_extjax'")
    with pytest.raises(RuntimeError, match="TP122 openequivariance has no JAX here: No module named 'openequivariance_extjax'"):
        OpenequivarianceJax().build(SHARED, "cpu")


@pytest.mark.parametrize(("imported", "asked"), [(True, None), (False, "1")])
def test_programs_without_torch_get_it_without_torch(
    imported: bool, asked: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "openequivariance.py").write_text("import os; raise OSError(os.environ.get('OEQ_NOTORCH'))")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "openequivariance")
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch")) if imported else monkeypatch.delitem(sys.modules, "torch", False)
    with pytest.raises(RuntimeError, match=f"OSError: {asked}"):
        OpenequivarianceJax().build(SHARED, "cpu")
    assert "OEQ_NOTORCH" not in os.environ
