"""What OpenEquivariance is given, checked under the gate with a stand-in that follows its sources; it needs a GPU itself."""

import sys

import e3nn
import numpy as np
import pytest
import torch

from tests.openequivariance.fake import Library
from tests.test_gate import yardstick
from tpregistry.building import build
from tpregistry.gate import verify
from tpregistry.problem import Problem
from tpregistry.testing import zoo
from tpregistry.torch.graph import Graph
from tpregistry_openequivariance import Openequivariance

if e3nn.__version__.startswith("0.4"):
    pytest.skip("the stand-in computes with e3nn, whose signs are OpenEquivariance's from 0.5 on", allow_module_level=True)

PROBLEMS = [(dtype, name) for dtype in ("float64", "float32") for name in zoo(dtype)]
ABLE = [(dtype, name) for dtype, name in PROBLEMS if Openequivariance().supports(zoo(dtype)[name], "cuda").ok]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    monkeypatch.setitem(sys.modules, "openequivariance", found.module())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "name"), [(dtype, name) for dtype, name in ABLE if "XL" not in name])
def test_the_zoo_as_far_as_it_is_supported(dtype: str, name: str, library: Library) -> None:
    problem = zoo(dtype)[name].at(batch=33)
    evidence = verify(Openequivariance().build(problem, "cpu"), yardstick(problem))
    assert evidence.ok, evidence.failures
    assert library.made[0].dtype is getattr(np, dtype)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "name"), [(dtype, name) for dtype, name in ABLE if not name.startswith("real")])
def test_convolutions_of_the_zoo(dtype: str, name: str, library: Library) -> None:
    problem = zoo(dtype)[name].convolution(16).at(batch=64)
    kernel = build(Openequivariance(), problem, "cpu", "torch")
    evidence = verify(kernel, yardstick(problem))
    assert evidence.ok, evidence.failures
    assert kernel.engine == "loop unrolled, atomics"


def test_more_may_receive_than_send(library: Library) -> None:
    """Its nodes are those of x."""
    problem = zoo("float64")["outputs shared by paths"].convolution(4).at(batch=8)
    kernel = Openequivariance().build(problem, "cpu")
    graph = Graph(torch.tensor([0, 1, 1]), torch.tensor([4, 2, 4]), 2, 5)
    x, y, w = (torch.ones(rows, size).double() for rows, size in zip((2, 3, 3), problem_sizes(problem), strict=True))
    out = kernel(x, y, w if not problem.shared_weights else w[0], graph=graph)
    assert out.shape == (5, problem.irreps_out.dim)
    assert out[[2, 4]].any(1).all()
    assert not out[[0, 1, 3]].any()


def problem_sizes(problem: Problem) -> tuple[int, int, int]:
    return problem.irreps_in1.dim, problem.irreps_in2.dim, problem.weight_numel


def test_coefficients_are_given_without_normalisation(library: Library) -> None:
    problem = zoo("float64")["signs of e3nn 0.4.4"]
    Openequivariance().build(problem, "cpu")
    (given,) = library.made
    assert given.normalizations == {"irrep_normalization": "none", "path_normalization": "none"}
    assert given.shared_weights is problem.shared_weights
    np.testing.assert_allclose([i[5] for i in given.arguments[3]], [path.coefficient**2 for path in problem.paths], rtol=1e-15)
    assert [i[:5] for i in given.arguments[3]] == [(p.i_in1, p.i_in2, p.i_out, p.mode, p.has_weight) for p in problem.paths]


def test_weights_are_touched_only_where_order_or_sign_differ(library: Library) -> None:
    built = {name: Openequivariance().build(zoo("float64")[name], "cpu") for _, name in ABLE[:2]}
    assert all(kernel._order is None and kernel._signs is None for kernel in built.values())
    assert Openequivariance().build(zoo("float64")["several copies of y"], "cpu")._order is not None
    assert Openequivariance().build(zoo("float64")["signs of e3nn 0.4.4"], "cpu")._signs is not None


def test_an_import_that_fails_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "openequivariance.py").write_text("assert False, 'Only CUDA and HIP backends are supported'")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "openequivariance", raising=False)
    with pytest.raises(RuntimeError, match="TP122 importing openequivariance raised AssertionError: Only CUDA and HIP"):
        Openequivariance().build(zoo()["real: mace layer 1"], "cpu")


def test_a_missing_extension_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Library().module()
    broken.BUILT_EXTENSION, broken.BUILT_EXTENSION_ERROR = False, "libnvrtc.so not found"
    monkeypatch.setitem(sys.modules, "openequivariance", broken)
    with pytest.raises(RuntimeError, match="TP122 openequivariance has no extension here: libnvrtc"):
        Openequivariance().build(zoo()["real: mace layer 1"], "cpu")
