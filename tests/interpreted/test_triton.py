"""cg-triton by Triton's interpreter: all slots against the NumPy emitter, and under the gate."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from tests.cg.test_convolution import convolution, edges_of, tensors_of
from tpregistry.backend import Kernel
from tpregistry.building import build
from tpregistry.frame import frame
from tpregistry.gate import Yardstick, verify
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.plan.channelwise import channelwise
from tpregistry.problem import Problem
from tpregistry.testing import real_problems, zoo
from tpregistry_cg import CgTriton
from tpregistry_cg.triton.kernel import TritonPlan
from tpregistry_e3nn.adapter import Adapter

TOLERANCE = {"float64": 1e-12, "float32": 5e-5}
WHOLE = bool(os.environ.get("WHOLE_SUITES"))
ANIMALS = [
    (dtype, name) for dtype in TOLERANCE for name in zoo(dtype) if WHOLE or dtype == "float32" or not name.startswith("real")
]
"""`make hosts` has products of real models in float64 too: the interpreter takes seconds for each."""


def agrees(problem: Problem, samples: int) -> None:
    """Output, gradients and second gradients, each against the oracle on inputs of their own."""
    inner, dtype = channelwise(problem).inner, problem.dtype
    kernel = TritonPlan(plan_tensor_product(inner), getattr(torch, dtype))
    edges, generator = edges_of(samples, 3, 4), np.random.default_rng(0)
    graphs = ({"graph": tensors_of(edges)}, {"graph": edges}) if inner.convolves else ({}, {})
    for _ in range(3):
        rows = [edges.count(o.site) if o.site else samples for o in kernel.plan.inputs]
        arrays = [
            generator.standard_normal((n, o.size) if o.batched else o.size) for n, o in zip(rows, kernel.plan.inputs, strict=True)
        ]
        found = kernel(*(torch.from_numpy(array).to(kernel.dtype) for array in arrays), **graphs[0])
        for ours, right in zip(found, emit_numpy(kernel.plan)(*arrays, **graphs[1]), strict=True):
            scale = max(1.0, np.abs(right).max(initial=0))
            np.testing.assert_allclose(ours.double(), right, atol=TOLERANCE[dtype] * scale, rtol=0)
        kernel = kernel.vjp()


@pytest.mark.parametrize(("dtype", "name"), ANIMALS)
def test_the_zoo_to_second_gradients(dtype: str, name: str) -> None:
    agrees(zoo(dtype)[name], 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("edges", [0, 1, 9])
def test_convolutions_to_second_gradients(edges: int, shared: bool, dtype: str) -> None:
    for name in ("both parities", "paths in reverse"):
        agrees(convolution(zoo(dtype)[name].at(shared_weights=shared)), edges)


def test_real_convolutions() -> None:
    agrees(convolution(real_problems()["nequip with parity"]), 7)


@pytest.mark.parametrize("name", ["mode uvw, shared weights", "mixed modes, some without weights", "both parities"])
@pytest.mark.parametrize("convolves", [False, True])
def test_the_gate(name: str, convolves: bool) -> None:
    problem = zoo("float32")[name].at(batch=33)
    problem = convolution(problem, 32, 8) if convolves else problem
    assert not passes(build(CgTriton(), problem, "cpu", "torch"), problem)


def passes(kernel: Kernel, problem: Problem) -> tuple[str, ...]:
    return verify(kernel, Yardstick(problem, Adapter().host(problem, "cpu"), frame("torch"), "cpu")).failures


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_are_added_up_in_32(dtype: str) -> None:
    problem = zoo("float32")["both parities"]
    plan, generator = plan_tensor_product(problem), np.random.default_rng(0)
    kind = getattr(torch, dtype)
    tensors = [torch.from_numpy(generator.standard_normal((4, o.size))).to(kind) for o in plan.inputs]
    (found,) = TritonPlan(plan, kind)(*tensors)
    (right,) = emit_numpy(plan)(*(tensor.double().numpy() for tensor in tensors))
    assert found.dtype == kind
    step = torch.finfo(kind).eps * np.abs(right).max()
    np.testing.assert_allclose(found.double(), right, atol=step, rtol=0)
