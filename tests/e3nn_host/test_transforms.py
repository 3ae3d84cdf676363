"""Compilers and transforms: results equal stock, and each test says which code ran (the host's, by rule)."""

import io

import pytest
import torch
from e3nn import o3
from e3nn.util import jit

import tpregistry
from tests.e3nn_host.conftest import inputs, stock


@pytest.fixture
def module(convolution) -> o3.TensorProduct:
    return convolution()


@pytest.fixture(autouse=True)
def forced(kernel):
    with tpregistry.use(kernel):
        yield


def as_stock(patched, attempt) -> object:
    """The value of an attempt under the patch, which must succeed or fail exactly as without it; None where both fail.

    e3nn 0.4.4 holds TorchScript, which dynamo, export and fx refuse.
    """
    patched.unpatch()
    control = outcome(attempt)
    patched.patch()
    kind, value = outcome(attempt)
    assert kind == control[0]
    return value


def outcome(attempt) -> tuple[str, object]:
    torch._dynamo.reset()
    try:
        return "ok", attempt()
    except Exception as error:
        return type(error).__name__, None


def our_calls() -> int:
    return sum(decision.calls for decision in tpregistry.decisions() if decision.backend.startswith("cg-"))


def test_eager_runs_ours(module) -> None:
    module(*inputs(module, 5))
    assert our_calls() == 1


def test_torchscript_holds_stock_code(module) -> None:
    module(*inputs(module, 5))
    scripted = jit.compile(module)
    args = inputs(module, 5)
    torch.testing.assert_close(scripted(*args), stock(module, *args))
    assert our_calls() == 1, "a scripted module runs e3nn's own code"
    file = io.BytesIO()
    torch.jit.save(scripted, file)
    file.seek(0)
    torch.testing.assert_close(torch.jit.load(file)(*args), stock(module, *args))


def test_torch_jit_trace_holds_stock_code(module) -> None:
    args = inputs(module, 5)
    traced = torch.jit.trace(module, args, check_trace=False)
    torch.testing.assert_close(traced(*args), stock(module, *args))
    assert our_calls() == 0
    assert tpregistry.decisions().left_to_host["tracing"] >= 1


@pytest.mark.parametrize("bound_before", [False, True])
def test_torch_compile_fullgraph_runs_stock_code(module, patched, bound_before) -> None:
    if bound_before:
        module(*inputs(module, 5))
    args = inputs(module, 5, requires_grad=True)

    def attempt() -> tuple[torch.Tensor, ...]:
        out = torch.compile(module, fullgraph=True, backend="aot_eager")(*args)
        return out, *torch.autograd.grad(out.square().sum(), args)

    found = as_stock(patched, attempt)
    if found is not None:
        expected = stock(module, *args)
        gradients = torch.autograd.grad(expected.square().sum(), args)
        torch.testing.assert_close(found, (expected, *gradients), atol=1e-4, rtol=1e-4)
    assert our_calls() == int(bound_before), "a compiled module runs e3nn's own code"


def test_torch_export_holds_stock_code(module, patched) -> None:
    args = tuple(inputs(module, 5))
    exported = as_stock(patched, lambda: torch.export.export(module, args))
    if exported is not None:
        torch.testing.assert_close(exported.module()(*args), stock(module, *args))
        assert "tpregistry" not in str(exported.graph)
    assert our_calls() == 0


def test_forward_mode_derivatives_are_not_silently_zero(module) -> None:
    x, y, w = inputs(module, 5)
    tangent = torch.randn_like(y)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(y, tangent)
        found = torch.autograd.forward_ad.unpack_dual(module(x, dual, w)).tangent
    torch.testing.assert_close(found, stock(module, x, tangent, w), atol=1e-5, rtol=1e-5)
    assert our_calls() == 0
    assert tpregistry.decisions().left_to_host == {"forward-mode AD": 1}


def test_functorch_transforms(module) -> None:
    x, y, w = inputs(module, 5)
    one = torch.func.vmap(lambda a, b, c: module(a[None], b[None], c[None])[0])(x, y, w)
    torch.testing.assert_close(one, stock(module, x, y, w), atol=1e-5, rtol=1e-5)
    _, found = torch.func.jvp(lambda b: module(x, b, w), (y,), (y,))
    torch.testing.assert_close(found, stock(module, x, y, w), atol=1e-5, rtol=1e-5)
    assert our_calls() == 0
    assert tpregistry.decisions().left_to_host["functorch transform"] == 2


def test_autocast_is_left_to_the_host(module) -> None:
    args = inputs(module, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(*args)
        expected = stock(module, *args)
    assert torch.equal(out, expected)
    assert tpregistry.decisions().left_to_host["autocast"] >= 1
    assert our_calls() == 0


def test_fx_symbolic_trace(module, patched) -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.product = module

        def forward(self, x, y, w):
            return 2 * self.product(x, y, w)

    args = inputs(module, 5)
    traced = as_stock(patched, lambda: torch.fx.symbolic_trace(Model()))
    if traced is not None:
        torch.testing.assert_close(traced(*args), 2 * stock(module, *args))
    assert our_calls() == 0


def test_right_is_untouched() -> None:
    product = o3.FullyConnectedTensorProduct("4x0e", "1x0e+1x1o", "4x0e+4x1o", compile_right=True)
    y = torch.randn(3, 4)
    torch.testing.assert_close(product.right(y), stock(product, torch.eye(4)[None], y[:, None]), atol=1e-5, rtol=1e-5)
