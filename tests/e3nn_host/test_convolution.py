"""TensorProductConv: the state of the product it is made around, the numbers of e3nn between gather and sum."""

import copy
import io
import pickle
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from e3nn import o3

import tpregistry
from tpregistry.torch import Graph, TensorProductConv
from tpregistry.torch.graph import graph

NODES, EDGES = 12, 150


def product(**changes: bool) -> o3.TensorProduct:
    """As in NequIP: `uvu`, weights by edge unless changed."""
    paths = [(0, 0, 0, "uvu", True), (0, 1, 1, "uvu", True), (1, 0, 2, "uvu", True), (1, 1, 3, "uvu", True)]
    kind = {"shared_weights": False, "internal_weights": False} | changes
    return o3.TensorProduct("8x0e+8x1o", "0e+1o+2e", "8x0e+8x1o+8x1o+8x0e", paths, **kind)


def operands(dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """x, y, weights."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(NODES, 32), (EDGES, 9), (EDGES, 32)]
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def ends(kind: torch.dtype = torch.int64) -> tuple[torch.Tensor, torch.Tensor]:
    """The last node has no edge."""
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randint(0, NODES - 1, (EDGES,), generator=generator).to(kind) for _ in range(2))  # type: ignore[return-value]


def by_hand(tp: o3.TensorProduct, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor | None, nodes: int = NODES) -> torch.Tensor:
    """Gather, e3nn, sum."""
    senders, receivers = ends()
    with tpregistry.use("off"):
        messages = tp(x[senders], y, w)
    return torch.zeros(nodes, messages.shape[1], dtype=messages.dtype).index_add(0, receivers, messages)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["cg-llvm", "cg-hoist", "cg-dense", "e3nn", "auto"])
@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_energies_forces_and_training_are_those_of_e3nn(backend: str, kind: torch.dtype) -> None:
    tp = product()
    conv, inputs = TensorProductConv(tp), operands(torch.float64)
    with tpregistry.use(backend):
        found = _trained(conv(*inputs, *ends(kind)), inputs)
    ran = tpregistry.decisions()[-1]
    for one, other in zip(found, _trained(by_hand(tp, *inputs), inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-12)
    assert ran.problem.operation == "tensor_product_conv"
    assert backend == "auto" or ran.backend == backend


def _trained(out: torch.Tensor, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """The output, forces, and the gradients of a loss of both."""
    (force,) = torch.autograd.grad(out.square().sum(), [inputs[1]], create_graph=True)
    return [out, force, *torch.autograd.grad(force.square().sum() + out.sum(), inputs)]


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [NODES - 1, NODES + 5])
def test_other_nodes_may_receive(nodes: int) -> None:
    tp, inputs = product(), operands()
    with tpregistry.use("cg-llvm"):
        found = TensorProductConv(tp)(*inputs, *ends(), nodes)
    torch.testing.assert_close(found, by_hand(tp, *inputs, nodes), atol=1e-4, rtol=1e-4)
    assert not found[NODES - 1 :].any()


@pytest.mark.slow
def test_its_own_weights() -> None:
    tp, (x, y, _) = product(shared_weights=True, internal_weights=True), operands()
    conv = TensorProductConv(tp)
    with tpregistry.use("cg-llvm"):
        found = torch.autograd.grad(conv(x, y, None, *ends()).square().sum(), list(conv.parameters()))
    expected = torch.autograd.grad(by_hand(tp, x, y, None).square().sum(), list(tp.parameters()))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.slow
def test_its_state_is_that_of_the_product() -> None:
    tp = product(shared_weights=True, internal_weights=True)
    conv, other = TensorProductConv(tp), product(shared_weights=True, internal_weights=True)
    assert {name: id(value) for name, value in conv.named_parameters()} == {name: id(v) for name, v in tp.named_parameters()}
    assert conv.state_dict().keys() == tp.state_dict().keys()
    conv.load_state_dict(other.state_dict())
    assert torch.equal(tp.weight, other.weight)
    assert conv.double() is conv
    assert tp.weight.dtype == torch.float64
    x, y, _ = operands(torch.float64)
    for copied in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv)), _saved(conv)):
        assert torch.equal(copied(x, y, None, *ends()), conv(x, y, None, *ends()))
        assert copied.tp.weight is copied.weight


def _saved(module: torch.nn.Module) -> TensorProductConv:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_no_edge_and_no_node() -> None:
    conv = TensorProductConv(product())
    none = torch.zeros(0, dtype=torch.int64)
    with tpregistry.use("cg-llvm"):
        out = conv(torch.randn(NODES, 32), torch.randn(0, 9), torch.randn(0, 32), none, none)
        assert torch.equal(out, torch.zeros(NODES, 64))
        assert conv(torch.randn(0, 32), torch.randn(0, 9), torch.randn(0, 32), none, none).shape == (0, 64)


def test_transforms_run_stock_code() -> None:
    tp, inputs, edges = product(), [operand.detach() for operand in operands()], ends()
    conv = TensorProductConv(tp)
    with tpregistry.use("cg-llvm"):
        several = torch.vmap(lambda x: conv(x, *inputs[1:], *edges))(torch.stack([inputs[0]] * 2))
    torch.testing.assert_close(several, torch.stack([by_hand(tp, *inputs)] * 2), atol=1e-4, rtol=1e-4)


def test_compiled_it_runs_stock_code() -> None:
    """Where e3nn itself compiles: the modules of e3nn 0.4.4 are TorchScript, which torch.compile refuses."""
    tp, inputs, edges = product(), [operand.detach() for operand in operands()], ends()
    compiled = torch.compile(TensorProductConv(tp), fullgraph=True, backend="eager")
    if isinstance(tp._compiled_main_left_right, torch.jit.ScriptModule):
        with pytest.raises(torch._dynamo.exc.Unsupported, match="ScriptModule"):
            torch.compile(tp, fullgraph=True, backend="eager")(inputs[0][:1], inputs[1][:1], inputs[2][:1])
        return
    with tpregistry.use("cg-llvm"):
        found = compiled(*inputs, *edges)
    torch.testing.assert_close(found, by_hand(tp, *inputs), atol=1e-4, rtol=1e-4)


def test_a_graph_made_before() -> None:
    tp, inputs = product(), operands()
    edges = Graph(*ends(torch.int32), NODES, NODES + 2)
    with tpregistry.use("cg-llvm"):
        found = TensorProductConv(tp)(*inputs, edges)
    torch.testing.assert_close(found, by_hand(tp, *inputs, NODES + 2), atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="12 senders, but x has 11 rows"):
        TensorProductConv(tp)(inputs[0][:-1], *inputs[1:], edges)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["cg-llvm", "cg-hoist", "e3nn"])
@pytest.mark.parametrize("given", ["indices", "Graph"])
def test_a_graph_met_in_inference_mode_can_be_trained_on(given: str, backend: str) -> None:
    tp, inputs, pair = product(), operands(torch.float64), ends()
    conv, expected = TensorProductConv(tp), _trained(by_hand(tp, *inputs), inputs)
    with tpregistry.use(backend):
        with torch.inference_mode():
            edges = (Graph(*ends(), NODES, NODES),) if given == "Graph" else pair
            conv(*inputs, *edges)
        found = _trained(conv(*inputs, *edges), inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_indices_of_a_table_of_edges() -> None:
    """Columns of (edges, 2): kernels read indices that lie side by side."""
    tp, inputs = product(), operands()
    pair = torch.stack(ends(), dim=1)
    edges = Graph(pair[:, 0], pair[:, 1], NODES, NODES)
    assert edges.senders.is_contiguous()
    assert edges.receivers.is_contiguous()
    with tpregistry.use("cg-llvm"):
        found = TensorProductConv(tp)(*inputs, pair[:, 0], pair[:, 1])
    torch.testing.assert_close(found, by_hand(tp, *inputs), atol=1e-4, rtol=1e-4)


def test_indices_while_a_cuda_graph_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    index = SimpleNamespace(is_cuda=True)
    with pytest.raises(RuntimeError, match="give a Graph made before"):
        graph(index, index, NODES, NODES)  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused() -> None:
    conv, (x, y, w) = TensorProductConv(product()), operands()
    with pytest.raises(ValueError, match="150 edges, but y has 149 rows"):
        conv(x, y[:-1], w, *ends())
    with pytest.raises(IndexError, match="but there are 5 nodes"):
        conv(x, y, w, *ends(), 5)
    with pytest.raises(ValueError, match="senders without receivers"):
        conv(x, y, w, ends()[0])
    with pytest.raises(ValueError, match="the graph is on cpu, but x is on meta"):
        conv(x.to("meta"), y, w, *ends())
    with pytest.raises(TypeError, match="is no e3nn TensorProduct"):
        TensorProductConv(torch.nn.Linear(2, 2))


MISFITS = {
    "a column less of y": lambda x, y, w: (x, y[:, :8], w),
    "a column more of x": lambda x, y, w: (torch.cat([x, x[:, :1]], 1), y, w),
    "half of the columns of x": lambda x, y, w: (x[:, :16], y, w),
    "no column of x": lambda x, y, w: (x[:, :0], y, w),
    "y without columns": lambda x, y, w: (x, y[:, 0], w),
    "an axis more of y": lambda x, y, w: (x, y[:, None], w),
    "an axis more of x": lambda x, y, w: (x[None], y, w),
    "a number as x": lambda x, y, w: (x[0, 0], y, w),
    "a row less of the weights": lambda x, y, w: (x, y, w[:-1]),
    "one row of weights": lambda x, y, w: (x, y, w[:1]),
    "y elsewhere": lambda x, y, w: (x, y.to("meta"), w),
    "weights elsewhere": lambda x, y, w: (x, y, w.to("meta")),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_kernels_read_no_further_than_operands_go(kind: str) -> None:
    """Also where a kernel is bound already: some of these gave numbers of size 1e29, some ended the process."""
    conv, inputs = TensorProductConv(product()), [operand.detach() for operand in operands()]
    with tpregistry.use("cg-llvm"):
        conv(*inputs, *ends())
        with pytest.raises(ValueError, match=r"rows|takes|on meta"):
            conv(*MISFITS[kind](*inputs), *ends())


@pytest.mark.parametrize("wide", ["x", "y", "w", "xy", "yw"])
def test_operands_of_several_dtypes_are_those_of_the_host(wide: str) -> None:
    scalar = o3.TensorProduct("32x0e", "0e", "32x0e", [(0, 0, 0, "uvu", True)], shared_weights=False, internal_weights=False)
    for tp in (product(), scalar):
        sizes = tp.irreps_in1.dim, tp.irreps_in2.dim, tp.weight_numel
        inputs = [
            torch.randn(rows, size, dtype=torch.float64 if name in wide else torch.float32)
            for name, rows, size in zip("xyw", (NODES, EDGES, EDGES), sizes, strict=True)
        ]
        conv = TensorProductConv(tp)
        with tpregistry.use("cg-llvm"):
            conv(*(operand.float() for operand in inputs), *ends())
            before = tpregistry.decisions().left_to_host["operands of different dtypes"]
            found = _result(lambda: conv(*inputs, *ends()))  # noqa: B023
            assert tpregistry.decisions().left_to_host["operands of different dtypes"] == before + 1
        expected = _result(lambda: by_hand(tp, *inputs))  # noqa: B023
        assert type(found) is type(expected)
        if isinstance(found, torch.Tensor):
            torch.testing.assert_close(found, expected)


def _result(call: Callable[[], torch.Tensor]) -> object:
    try:
        return call()
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_what_is_written_into_indices_later_does_not_reach_a_graph(kind: torch.dtype) -> None:
    """Kernels read at them: they were looked at when the graph was made."""
    tp, inputs, (senders, receivers) = product(), operands(), (index.sort().values for index in ends(kind))
    edges = Graph(senders, receivers, NODES, NODES)
    with tpregistry.use("cg-llvm"):
        conv = TensorProductConv(tp)
        expected = conv(*inputs, senders.clone(), receivers.clone())
        senders.fill_(1 << 30), receivers.fill_(1 << 30)
        assert torch.equal(conv(*inputs, edges), expected)
        other = Graph(*ends(), NODES, NODES)
        other.senders.fill_(1 << 40)
        with pytest.raises(IndexError, match="but there are 12 nodes"):
            conv(*(operand.requires_grad_() for operand in inputs), other).sum().backward()


def test_it_is_tuned_ahead_and_explained() -> None:
    conv = TensorProductConv(product())
    problems = {resolution.problem.operation for resolution in tpregistry.explain(conv)}
    assert problems == {"tensor_product_conv"}


def test_buffers_that_change_are_seen_and_moving_to_the_same_place_binds_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    tp, inputs = product(), operands(torch.float64)
    conv = TensorProductConv(tp).double()
    with tpregistry.use("cg-hoist"):
        conv(*inputs, *ends())
        for buffer in tp.buffers():
            buffer.neg_()
        torch.testing.assert_close(conv(*inputs, *ends()), by_hand(tp, *inputs))
        monkeypatch.setattr("tpregistry.torch.binding.Hook._bind", lambda *given: pytest.fail("it is bound anew"))
        conv.to("cpu")(*inputs, *ends())
