"""cg-triton by Triton's interpreter: all slots against the NumPy emitter, and under the gate."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.cg.test_convolution import convolution, edges_of, tensors_of
from tests.tiers import first
from tpregistry.backend import Kernel
from tpregistry.building import build
from tpregistry.frame import frame
from tpregistry.gate import Yardstick, verify
from tpregistry.plan import Operand, emit_numpy, plan_tensor_product
from tpregistry.plan.channelwise import channelwise
from tpregistry.problem import Problem
from tpregistry.testing import real_problems, zoo
from tpregistry_cg import CgTriton, CgTritonAtomic
from tpregistry_cg.triton.form import Form
from tpregistry_cg.triton.kernel import DEFAULT, TritonPlan
from tpregistry_e3nn.adapter import Adapter

TOLERANCE = {"float64": 1e-12, "float32": 5e-5}
ANIMALS = first([(dtype, name) for dtype in TOLERANCE for name in zoo(dtype)], lambda one: not one[1].startswith("real"))
"""Products of real models are for `make test-all`: the interpreter takes seconds for each."""


def agrees(problem: Problem, samples: int, form: Form = DEFAULT) -> None:
    """Output, gradients and second gradients, each against the oracle on inputs of their own."""
    inner, dtype = channelwise(problem).inner, problem.dtype
    kernel = TritonPlan(plan_tensor_product(inner), getattr(torch, dtype), form)
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


@pytest.mark.parametrize("form", [Form(warps=1, budget=20), Form(tiles=False), Form(stages=2), Form(atomic=True)], ids=str)
@pytest.mark.parametrize("convolves", [False, True])
def test_other_forms_to_second_gradients(convolves: bool, form: Form) -> None:
    for name in ("both parities", "mode uuu, shared weights"):
        agrees(convolution(zoo("float64")[name]) if convolves else zoo("float64")[name], 9, form)


@pytest.mark.parametrize("form", [DEFAULT, Form(stages=2)], ids=str)
def test_programs_that_take_several_nodes(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all edges share their weights, gradients of those are a row for each program, not for each node."""
    monkeypatch.setattr("tpregistry_cg.triton.kernel.ROWS", 2)
    made, output = [], TritonPlan._output

    def noted(self: TritonPlan, operand: Operand, *sizes: Any) -> torch.Tensor:
        found = output(self, operand, *sizes)
        made.append((operand.batched, len(found)))
        return found

    monkeypatch.setattr(TritonPlan, "_output", noted)
    for name in ("both parities", "paths in reverse"):
        agrees(convolution(zoo("float64")[name].at(shared_weights=True)), 9, form)
    assert {rows for batched, rows in made if not batched} == {2}


def test_real_convolutions() -> None:
    agrees(convolution(real_problems()["nequip with parity"]), 7)


@pytest.mark.parametrize("name", ["mode uvw, shared weights", "mixed modes, some without weights", "both parities"])
@pytest.mark.parametrize("convolves", [False, True])
def test_the_gate(name: str, convolves: bool) -> None:
    problem = zoo("float32")[name].at(batch=33)
    problem = convolution(problem, 32, 8) if convolves else problem
    assert not passes(build(CgTriton(), problem, "cpu", "torch"), problem)


def test_the_gate_accepts_atomic_sums() -> None:
    problem = convolution(zoo("float32")["both parities"], 32, 8)
    assert not passes(build(CgTritonAtomic(), problem, "cpu", "torch"), problem)


def test_nothing_is_read_back_once_a_graph_is_known() -> None:
    """What a CUDA graph could not hold; and a second call gives the same numbers."""
    problem = convolution(zoo("float32")["both parities"])
    kernel, edges = TritonPlan(plan_tensor_product(problem), torch.float32), tensors_of(edges_of(9, 3, 4))
    operands = [torch.randn(edges.count(o.site) if o.site else 9, o.size) for o in kernel.plan.inputs]
    (first,) = kernel(*operands, graph=edges)
    with Unread():
        (second,) = kernel(*operands, graph=edges)
    assert torch.equal(first, second)


class Unread(TorchDispatchMode):
    """Raises where a program waits for a number."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **kwargs or {})


def test_launches_are_on_the_device_of_the_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several devices in one process: Triton launches on the current one, which the operands' has to be."""
    guarded, launched = [], []

    @contextmanager
    def device_of(tensor):
        guarded.append(tensor)
        yield
        guarded.pop()

    kernel = TritonPlan(plan_tensor_product(zoo("float32")["both parities"]), torch.float32)
    operands = [torch.randn(3, operand.size) for operand in kernel.plan.inputs]
    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    monkeypatch.setattr(kernel, "_launch", lambda *_: launched.append(guarded[-1]))
    kernel(*operands)
    assert launched
    assert all(tensor is operands[0] for tensor in launched)


def passes(kernel: Kernel, problem: Problem) -> tuple[str, ...]:
    return verify(kernel, Yardstick(problem, Adapter().host(problem, "cpu"), frame("torch"), "cpu")).failures


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("shared", [False, True])
def test_16_bits_are_added_up_in_32(dtype: str, shared: bool) -> None:
    """Outputs and gradients, also those that are summed over all samples, are rounded once; Triton's interpreter cuts off bits."""
    problem = zoo("float32")["both parities"].at(shared_weights=shared)
    kind, generator = getattr(torch, dtype), np.random.default_rng(0)
    kernel = TritonPlan(plan_tensor_product(problem), kind)
    for _ in range(2):
        arrays = [generator.standard_normal((40, o.size) if o.batched else o.size) for o in kernel.plan.inputs]
        tensors = [torch.from_numpy(array).to(kind) for array in arrays]
        for found, right in zip(kernel(*tensors), emit_numpy(kernel.plan)(*(t.double().numpy() for t in tensors)), strict=True):
            assert found.dtype == kind
            off = np.abs(found.double().numpy() - right)
            assert (off <= torch.finfo(kind).eps * np.abs(right) + 1e-5 * np.abs(right).max()).all()
        kernel = kernel.vjp()
