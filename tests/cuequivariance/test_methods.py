"""Which of the library's GPU methods take our polynomials, and that they compute products and convolutions: with a stand-in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cuequivariance_torch", reason="cuequivariance is not installed: pip install 'tpregistry[cuequivariance]'")

HERE = Path(__file__).parent
CHECK = """
import json, sys
import numpy as np, torch
import cuequivariance as cue, cuequivariance_torch as cuet
from tpregistry.gate.cases import draw
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.testing import zoo
from tpregistry.torch.graph import Graph
from tpregistry_cuequivariance import kernel as kernels

choose = kernels.module

def past_the_look_at_where_tensors_are(*arguments):
    module = choose(*arguments)
    names = ("input_indices", "output_shapes", "output_indices")
    module.forward = lambda inputs, **indices: module.m(inputs, *(indices.get(name, {}) for name in names))
    return module

def graph_of(edges):
    index = map(torch.from_numpy, (edges.senders, edges.receivers))
    return Graph(*index, edges.sending, edges.nodes)

def check(kernel, problem, name):
    drawn = draw(problem, 3, 0)
    tensors = [torch.from_numpy(drawn.values[n]).requires_grad_() for n in "xyw"]
    graph = {"graph": graph_of(drawn.graph)} if drawn.graph else {}
    out = kernel(*tensors, **graph)
    (expected,) = emit_numpy(plan_tensor_product(problem))(*(drawn.values[n] for n in "xyw"), graph=drawn.graph)
    np.testing.assert_allclose(out.detach().numpy(), expected, atol=1e-11, err_msg=name)

kernels.module = past_the_look_at_where_tensors_are
kernels.methods = lambda device: ("uniform_1d", "fused_tp")
engines = {}
for name, problem in zoo("float64").items():
    kernel = kernels.CuequivarianceKernel(problem, "cpu")
    engines[name] = kernel.engine
    check(kernel, problem, name)
    check(kernel, problem.convolution(16).at(batch=16), name)
print(json.dumps(engines))
"""


@pytest.fixture(scope="module")
def engines() -> dict[str, str]:
    path = os.pathsep.join([str(HERE / "operations"), str(HERE.parent.parent)])
    command = [sys.executable, "-W", "error", "-c", CHECK]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout)


@pytest.mark.processes
def test_products_of_models_take_the_fast_methods(engines: dict[str, str]) -> None:
    """Also where irreps have different numbers of copies, which the library's own channel-wise product cannot."""
    assert {engine for name, engine in engines.items() if name.startswith("real:")} == {"uniform_1d", "fused_tp"}
    assert engines["real: sevennet-l3i5 inner"] == "uniform_1d"
    assert engines["real: mace skip connection"] == "fused_tp"


def test_every_mode_takes_one_of_them(engines: dict[str, str]) -> None:
    assert not {name: engine for name, engine in engines.items() if "naive" in engine}
    assert engines["mixed modes, some without weights"] == "fused_tp+uniform_1d"
