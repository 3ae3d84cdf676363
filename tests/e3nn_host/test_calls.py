"""Call semantics of e3nn's TensorProduct, as its users rely on them, with our kernel underneath."""

import pytest
import torch
from e3nn import nn, o3

import tpregistry
from tests.e3nn_host.conftest import inputs, stock

BACKENDS = ["cg-dense", "cg-hoist", "cg-llvm"]


def ran_on(backend: str) -> int:
    return sum(decision.calls for decision in tpregistry.decisions() if decision.backend == backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("x_lead", "y_lead", "w_lead"),
    [
        ((7,), (7,), (7,)),
        ((2, 3), (2, 3), (2, 3)),
        ((5, 1), (1, 4), (5, 4)),
        ((), (6,), (6,)),
        ((6,), (), (6,)),
        ((3,), (3,), (1,)),
    ],
)
def test_leading_dimensions_and_broadcasting(convolution, backend, x_lead, y_lead, w_lead) -> None:
    module = convolution()
    x, y, w = torch.randn(*x_lead, 52), torch.randn(*y_lead, 9), torch.randn(*w_lead, module.weight_numel)
    with tpregistry.use(backend):
        out = module(x, y, w)
    expected = stock(module, x, y, w)
    assert out.shape == expected.shape
    torch.testing.assert_close(out, expected, atol=2e-5, rtol=1e-5)
    assert ran_on(backend) == 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_one_sample_without_a_batch_dimension(backend) -> None:
    for module in (o3.FullyConnectedTensorProduct("4x0e+2x1o", "3x0e+2x1o", "4x0e+2x1o"), o3.FullTensorProduct("1o", "1o")):
        x, y = torch.randn(module.irreps_in1.dim), torch.randn(module.irreps_in2.dim)
        with tpregistry.use(backend, tune="off"):
            out = module(x, y)
        assert out.shape == (module.irreps_out.dim,)
        torch.testing.assert_close(out, stock(module, x, y), atol=1e-5, rtol=1e-5)


def test_zero_batch_is_left_to_the_host(convolution, kernel) -> None:
    module = convolution()
    with tpregistry.use(kernel):
        out = module(torch.randn(0, 52), torch.randn(0, 9), torch.randn(0, module.weight_numel))
    assert out.shape == (0, module.irreps_out.dim)
    assert tpregistry.decisions().left_to_host["empty batch"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_broadcast_operands(convolution, backend) -> None:
    module = convolution().double()
    x = torch.randn(1, 52, dtype=torch.float64, requires_grad=True)
    y = torch.randn(5, 9, dtype=torch.float64, requires_grad=True)
    w = torch.randn(5, module.weight_numel, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(stock(module, x, y, w).square().sum(), (x, y, w))
    with tpregistry.use(backend):
        found = torch.autograd.grad(module(x, y, w).square().sum(), (x, y, w))
    torch.testing.assert_close(found, expected)


@pytest.mark.slow
def test_weight_list_override_and_internal_weights(kernel) -> None:
    module = o3.FullyConnectedTensorProduct("4x0e+2x1o", "3x0e+2x1o", "4x0e+2x1o+1x1e")
    x, y = torch.randn(5, 10), torch.randn(5, 9)
    override = torch.randn(module.weight_numel)
    pieces = [piece.detach().clone() for piece in module.weight_views()]
    with tpregistry.use(kernel):
        results = module(x, y), module(x, y, override), module(x, y, pieces)
    expected = stock(module, x, y), stock(module, x, y, override), stock(module, x, y)
    torch.testing.assert_close(results, expected, atol=2e-5, rtol=1e-5)
    assert ran_on(kernel) == 3


def test_internal_weights_receive_gradients() -> None:
    module = o3.FullyConnectedTensorProduct("4x0e+2x1o", "3x0e+2x1o", "4x0e+2x1o").double()
    x, y = torch.randn(5, 10, dtype=torch.float64), torch.randn(5, 9, dtype=torch.float64)
    (expected,) = torch.autograd.grad(stock(module, x, y).square().sum(), module.weight)
    with tpregistry.use("cg-dense"):
        (found,) = torch.autograd.grad(module(x, y).square().sum(), module.weight)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda: o3.FullTensorProduct("3x0e+2x1o", "2x0e+1x2e"),
        lambda: o3.ElementwiseTensorProduct("4x0e+3x1o+2x1e", "4x0e+3x1o+2x1e"),
        lambda: o3.FullyConnectedTensorProduct("3x0e+2x1o+0x2e", "2x0e+1x1e", "3x1o+2x0o+2x1o"),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_subclasses(make, backend) -> None:
    module = make()
    x, y = torch.randn(6, module.irreps_in1.dim), torch.randn(6, module.irreps_in2.dim)
    with tpregistry.use(backend):
        out = module(x, y)
    torch.testing.assert_close(out, stock(module, x, y), atol=2e-5, rtol=1e-5)
    assert ran_on(backend) == 1


@pytest.mark.slow
@pytest.mark.parametrize("irreps_out", [None, "3x0e+2x1e+1x2e"])
def test_tensor_square_and_its_gradient(irreps_out, kernel) -> None:
    module = o3.TensorSquare("4x0e+3x1o", irreps_out) if irreps_out else o3.TensorSquare("4x0e+3x1o")
    x = torch.randn(6, 13, dtype=torch.float64, requires_grad=True)
    module = module.double()
    expected = torch.autograd.grad(stock(module, x).square().sum(), x)
    with tpregistry.use(kernel):
        found = torch.autograd.grad(module(x).square().sum(), x)
    torch.testing.assert_close(found, expected)
    assert ran_on(kernel) == 1


def test_norm_gate_and_reduced_products_run_through_the_patch(kernel) -> None:
    gate = nn.Gate("4x0e", [torch.tanh], "3x0e", [torch.tanh], "3x1o")
    modules = [(o3.Norm("3x1o+2x2e"), 19), (gate, 16)]
    for module, size in modules:
        x = torch.randn(5, size)
        expected = stock(module, x)
        with tpregistry.use(kernel):
            torch.testing.assert_close(module(x), expected, atol=1e-5, rtol=1e-5)
    assert ran_on(kernel) == 2


def test_scalings_are_never_tuned() -> None:
    module = o3.ElementwiseTensorProduct("8x1o+4x2e", "12x0e")
    x, y = torch.randn(5, 44), torch.randn(5, 12)
    with tpregistry.use("auto"):
        assert torch.equal(module(x, y), stock(module, x, y))
    (decision, _) = tpregistry.decisions()
    assert (decision.backend, decision.source, decision.record) == ("e3nn", "rule", None)


def test_errors_are_those_of_the_host(convolution, kernel) -> None:
    module = convolution()
    x, y, w = inputs(module, 4)
    with tpregistry.use(kernel):
        with pytest.raises(AssertionError, match="Incorrect last dimension for x"):
            module(x[:, :-1], y, w)
        with pytest.raises(RuntimeError, match="Weights must be provided"):
            module(x, y)
        with pytest.raises(RuntimeError):
            module(x, y[:3], w)
        with pytest.raises(RuntimeError):
            module(x, y.double(), w)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes(convolution, dtype) -> None:
    module = convolution().to(dtype)
    x, y, w = inputs(module, 6, dtype=dtype)
    with tpregistry.use("cg-hoist"):
        out = module(x, y, w)
    tolerance = {"atol": 1e-12, "rtol": 1e-12} if dtype == torch.float64 else {"atol": 0.2, "rtol": 0.1}
    torch.testing.assert_close(out, stock(module, x, y, w), **tolerance)
    assert out.dtype == dtype
    assert ran_on("cg-hoist") == 1


@pytest.mark.slow
def test_batch_buckets_and_gradients_are_bound_apart(convolution, kernel) -> None:
    module = convolution()
    with tpregistry.use(kernel):
        for batch in (1, 2, 3, 7, 8, 31):
            module(*inputs(module, batch))
        module(*inputs(module, 3, requires_grad=True))
    seen = [(decision.problem.batch, decision.problem.derivatives) for decision in tpregistry.decisions()]
    assert seen == [(1, 0), (4, 0), (16, 0), (4, 1)]


@pytest.mark.slow
def test_second_order_is_seen_and_bound(convolution, kernel) -> None:
    module = convolution()
    x, y, w = inputs(module, 4, requires_grad=True)
    with tpregistry.use(kernel):
        for _ in range(2):
            out = module(x, y, w)
            (forces,) = torch.autograd.grad(out.square().sum(), y, create_graph=True)
            forces.square().sum().backward()
    assert [decision.problem.derivatives for decision in tpregistry.decisions()] == [1, 2]


def test_torchs_newer_switch_of_precision(convolution) -> None:
    """The older getter refuses to answer after it; that is part of the problem, and no reason to run the host."""
    module = convolution()
    torch.backends.fp32_precision = "tf32"
    try:
        with tpregistry.use("cg-llvm"):
            module(*inputs(module, 4))
        assert tpregistry.decisions()[-1].backend == "cg-llvm"
        assert "tf32" in tpregistry.decisions()[-1].problem.precision
    finally:
        torch.backends.fp32_precision = "none"


def test_what_goes_wrong_while_binding_is_raised_where_the_backend_is_forced(convolution, monkeypatch) -> None:
    module = convolution()
    monkeypatch.setattr("tpregistry.torch.binding.matmul_precision", lambda: 1 / 0)
    with tpregistry.use("cg-llvm"), pytest.raises(ZeroDivisionError):
        module(*inputs(module, 4))
    with tpregistry.use("auto"), pytest.warns(UserWarning, match="binding failed .ZeroDivisionError"):
        module(*inputs(module, 4))
