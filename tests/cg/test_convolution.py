"""Convolutions: cg-llvm's sweeps over a graph against the NumPy emitter and the gate, and kernels that only graphs show wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from tests.problems import problems
from tests.tiers import drawn
from tpregistry.backend import Kernel
from tpregistry.building import build
from tpregistry.frame import frame
from tpregistry.gate import Yardstick, verify
from tpregistry.graph import Edges
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.plan.channelwise import channelwise
from tpregistry.problem import Problem
from tpregistry.testing import real_problems
from tpregistry.torch.differentiable import differentiable
from tpregistry.torch.graph import Graph, graph
from tpregistry.torch.native import CompiledPlan
from tpregistry_cg import CgHoist, CgLlvm
from tpregistry_cg.llvm.emitter import WRITER
from tpregistry_e3nn.adapter import Adapter

TOLERANCE = {"float64": 1e-12, "float32": 5e-5}


def convolution(problem: Problem, edges: int = 256, nodes: int = 16) -> Problem:
    """Of a product, over a graph of this kind."""
    return problem.convolution(nodes).at(batch=edges)


def edges_of(count: int, sending: int, nodes: int) -> Edges:
    """In no order, some of them twice."""
    generator = np.random.default_rng(count)
    return Edges(generator.integers(0, sending, count), generator.integers(0, nodes, count), sending, nodes)


def tensors_of(edges: Edges) -> Graph:
    """The same graph for torch."""
    return Graph(torch.from_numpy(edges.senders), torch.from_numpy(edges.receivers), edges.sending, edges.nodes)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@drawn(30, problem=problems(), count=st.sampled_from([0, 1, 2, 40]))
def test_the_oracle_agrees_to_third_order(dtype: str, problem: Problem, count: int) -> None:
    kernel = CompiledPlan(plan_tensor_product(channelwise(convolution(problem)).inner), getattr(torch, dtype), WRITER)
    edges, generator = edges_of(count, 5, 7), np.random.default_rng(0)
    for _ in range(4):
        sizes = [(edges.count(o.site) if o.site else count, o.size) if o.batched else (o.size,) for o in kernel.plan.inputs]
        arrays = [generator.standard_normal(size) for size in sizes]
        tensors = [torch.from_numpy(array).to(getattr(torch, dtype)) for array in arrays]
        expected = emit_numpy(kernel.plan)(*arrays, graph=edges)
        for found, right in zip(kernel(*tensors, graph=tensors_of(edges)), expected, strict=True):
            np.testing.assert_allclose(
                found.double(), right, atol=TOLERANCE[dtype] * max(1.0, np.abs(right).max(initial=0)), rtol=0
            )
        kernel = kernel.vjp()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["nequip with parity", "mace-mp-0 medium layer 2", "sevennet-l3i5 inner", "nequip self-connection"]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gate_accepts_real_convolutions(name: str, dtype: str) -> None:
    """Fused where channels are not mixed; and any product between gather and sum."""
    yardstick = _yardstick(convolution(real_problems(dtype)[name]))
    for backend in (CgLlvm(), CgHoist()):
        evidence = verify(build(backend, yardstick.problem, "cpu", "torch"), yardstick)
        assert evidence.ok, evidence.failures


def test_only_what_is_not_fused_says_gather() -> None:
    engines = {
        name: build(CgLlvm(), convolution(real_problems()[name]), "cpu", "torch").engine
        for name in ("nequip with parity", "nequip self-connection")
    }
    assert engines["nequip with parity"].startswith("llvm")
    assert engines["nequip self-connection"].startswith("gather + llvm")


FAULTS: dict[str, Callable[[Graph], Graph]] = {
    "forgets the last edge": lambda g: Graph(g.senders[:-1], g.receivers[:-1], g.sending, g.nodes),
    "swaps the ends": lambda g: Graph(g.receivers, g.senders % g.nodes, g.sending, g.nodes),
    "takes edges as sorted": lambda g: Graph(g.senders, g.receivers.sort()[0], g.sending, g.nodes),
    "counts an edge once": lambda g: _without_doubles(g),
}


def _without_doubles(g: Graph) -> Graph:
    """Later edges of a pair of nodes go from the first sender to the first receiver instead."""
    pairs, first = set(), []
    for pair in zip(g.senders.tolist(), g.receivers.tolist(), strict=True):
        first.append(pair in pairs)
        pairs.add(pair)
    doubled = torch.tensor(first, dtype=torch.bool)
    return Graph(g.senders.masked_fill(doubled, 0), g.receivers.masked_fill(doubled, 0), g.sending, g.nodes)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_the_gate_sees_graphs_that_are_read_wrong(fault: str) -> None:
    yardstick = _yardstick(convolution(real_problems()["mace-mp-0 medium layer 2"]))
    right = differentiable(build(CgLlvm(), yardstick.problem, "cpu", "torch"))

    class Wrong:
        engine = fault

        def __call__(self, *operands: torch.Tensor, graph: Graph) -> torch.Tensor:
            turned = FAULTS[fault](graph) if len(graph) else graph
            short = [operand[: len(turned)] if len(operand) == len(graph) else operand for operand in operands]
            return right(*short, graph=turned)

    evidence = verify(Wrong(), yardstick)
    assert not evidence.ok


@pytest.mark.slow
def test_the_gate_sees_nodes_without_edges_left_as_they_were() -> None:
    yardstick = _yardstick(convolution(real_problems()["mace-mp-0 medium layer 2"]))
    right = differentiable(build(CgLlvm(), yardstick.problem, "cpu", "torch"))

    class Unwritten:
        engine = "leaves rows"

        def __call__(self, *operands: torch.Tensor, graph: Graph) -> torch.Tensor:
            out = right(*operands, graph=graph)
            lonely = torch.bincount(graph.receivers, minlength=graph.nodes) == 0
            return torch.where(lonely[:, None], torch.full_like(out, 7.0), out)

    assert any("no sample" in line or "main out" in line for line in verify(Unwritten(), yardstick).failures)


def _yardstick(problem: Problem) -> Yardstick:
    return Yardstick(problem, Adapter().host(problem, "cpu"), frame("torch"), "cpu")


@pytest.mark.slow
def test_results_do_not_depend_on_threads() -> None:
    """Each node is summed by one thread, in the order of its edges."""
    problem = convolution(real_problems()["nequip with parity"])
    kernel: Any = differentiable(build(CgLlvm(), problem, "cpu", "torch"))
    edges, found = tensors_of(edges_of(900, 40, 50)), []
    operands = [torch.randn(rows, size) for rows, size in _shapes(problem, edges)]
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(_with_gradients(kernel, operands, edges))
    torch.set_num_threads(1)
    for results in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], results, strict=True))


def _shapes(problem: Problem, edges: Graph) -> list[tuple[int, int]]:
    return [
        (edges.sending, problem.irreps_in1.dim),
        (len(edges), problem.irreps_in2.dim),
        (len(edges), problem.weight_numel),
    ]


def _with_gradients(kernel: Kernel, operands: list[torch.Tensor], edges: Graph) -> list[torch.Tensor]:
    leaves = [operand.clone().requires_grad_() for operand in operands]
    out = kernel(*leaves, graph=edges)
    return [out, *torch.autograd.grad(out.square().sum(), leaves)]


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_orders_of_edges(kind: torch.dtype) -> None:
    edges = Graph(torch.tensor([2, 0, 2, 1], dtype=kind), torch.tensor([1, 0, 1, 3], dtype=kind), 3, 5)
    by_receiver, by_sender = edges.order("receiver"), edges.order("sender")
    assert by_receiver.first.tolist() == [0, 1, 3, 3, 4, 4]
    assert by_receiver.edges.tolist() == [1, 0, 2, 3]
    assert by_receiver.other.tolist() == [0, 2, 2, 1]
    assert by_sender.first.tolist() == [0, 1, 2, 4]
    assert by_sender.other.tolist() == [0, 3, 1, 1]
    assert by_receiver.ranges([(0, 2), (2, 4)]) == [(0, 2), (2, 5)]


@pytest.mark.parametrize(
    ("senders", "receivers", "error", "says"),
    [
        ([0, 3], [0, 1], IndexError, "senders go from 0 to 3, but there are 3 nodes"),
        ([0, -1], [0, 1], IndexError, "senders go from -1 to 0"),
        ([0, 1], [0, 5], IndexError, "receivers go from 0 to 5, but there are 5 nodes"),
        ([0, 1], [0], ValueError, "2 senders, but 1 receivers"),
        ([0.5], [0], ValueError, "int32 or int64"),
        ([[0]], [0], ValueError, "shape"),
    ],
)
def test_what_is_no_graph_is_refused(senders: list, receivers: list, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Graph(torch.tensor(senders), torch.tensor(receivers), 3, 5)


def test_neighbours_written_into_the_same_array_are_seen() -> None:
    """Also where torch cannot know of it: MD codes write into buffers of their own."""
    buffer = np.array([0, 1, 2])
    senders, receivers = torch.from_numpy(buffer), torch.tensor([2, 1, 0], dtype=torch.int32)
    first = graph(senders, receivers, 3, 3)
    assert graph(senders, receivers, 3, 3) is first
    buffer[:] = [2, 2, 2]
    assert graph(senders, receivers, 3, 3).senders.tolist() == [2, 2, 2]
    assert first.senders.tolist() == [0, 1, 2]
