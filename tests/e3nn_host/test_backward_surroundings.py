"""What programs enter between a forward and its backward: modes, traces, compilers, forward AD, autocast. Stock's values."""

from collections.abc import Callable

import pytest
import torch
from e3nn import o3
from torch._dynamo import compiled_autograd
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import tpregistry
from tests.e3nn_host.conftest import inputs

Tensor = torch.Tensor


@pytest.fixture(params=["uvu", "shared uvw"])
def module(request) -> o3.TensorProduct:
    torch.manual_seed(0)
    if request.param == "uvu":
        paths = [(0, 0, 0, "uvu", True), (0, 1, 1, "uvu", True), (1, 0, 1, "uvu", True), (1, 1, 0, "uvu", True)]
        return o3.TensorProduct("4x0e+4x1o", "0e+1o", "4x0e+4x1o", paths, shared_weights=True)
    return o3.FullyConnectedTensorProduct("4x0e+4x1o", "2x0e+2x1o", "4x0e+4x1o")


def leaves(module: o3.TensorProduct) -> list[Tensor]:
    x, y, _ = inputs(module, 5, requires_grad=True)
    return [x, y, module.weight]


def traced(module: o3.TensorProduct) -> list[Tensor]:
    """A graph that is made at one cotangent and run at another."""
    asked = leaves(module)
    out = module(*asked[:2])
    graph = make_fx(lambda v: torch.autograd.grad(out, asked, v, retain_graph=True))(torch.ones_like(out))
    return list(graph(torch.linspace(-1, 1, out.numel()).view_as(out)))


def traced_before_dispatch(module: o3.TensorProduct) -> list[Tensor]:
    asked = leaves(module)
    out = module(*asked[:2])
    graph = make_fx(lambda v: torch.autograd.grad(out, asked, v, retain_graph=True), pre_dispatch=True)(torch.ones_like(out))
    return list(graph(torch.linspace(-1, 1, out.numel()).view_as(out)))


def counted(module: o3.TensorProduct) -> list[Tensor]:
    asked = leaves(module)
    out = module(*asked[:2])
    with FlopCounterMode(display=False) as counter:
        found = torch.autograd.grad(out.sum(), asked)
    assert counter.get_total_flops() > 0
    return list(found)


def dual(module: o3.TensorProduct) -> list[Tensor]:
    asked = leaves(module)
    out = module(*asked[:2])
    with forward_ad.dual_level():
        cotangent = forward_ad.make_dual(torch.ones_like(out), torch.linspace(-1, 1, out.numel()).view_as(out))
        pairs = [forward_ad.unpack_dual(found) for found in torch.autograd.grad(out, asked, cotangent)]
    return [part for pair in pairs for part in pair]


def dual_of_second_order(module: o3.TensorProduct) -> list[Tensor]:
    asked = leaves(module)
    (force,) = torch.autograd.grad(module(*asked[:2]).pow(2).sum(), asked[1], create_graph=True)
    with forward_ad.dual_level():
        cotangent = forward_ad.make_dual(torch.ones_like(force), torch.linspace(-1, 1, force.numel()).view_as(force))
        pairs = [forward_ad.unpack_dual(found) for found in torch.autograd.grad(force, asked, cotangent)]
    return [part for pair in pairs for part in pair]


def in_autocast(module: o3.TensorProduct) -> list[Tensor]:
    asked = leaves(module)
    out = module(*asked[:2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return list(torch.autograd.grad(out.pow(2).sum(), asked))


def in_autocast_again(module: o3.TensorProduct) -> list[Tensor]:
    """Of the second order: only that part is in lower precision."""
    asked = leaves(module)
    (force,) = torch.autograd.grad(module(*asked[:2]).pow(2).sum(), asked[1], create_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return list(torch.autograd.grad(force.pow(2).sum(), asked))


WAYS = [traced, traced_before_dispatch, counted, dual, dual_of_second_order, in_autocast, in_autocast_again]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*lower precision")
def test_a_backward_in_other_surroundings(module, kernel) -> None:
    for way in WAYS:
        with tpregistry.use("off"):
            expected = way(module)
        with tpregistry.use(kernel):
            found = way(module)
        share = 2e-2 if "autocast" in way.__name__ else 1e-4
        bounds = {"rtol": share, "atol": share * max(float(value.abs().max()) for value in expected)}
        torch.testing.assert_close(found, expected, **bounds, msg=lambda words, way=way: f"{way.__name__}: {words}")


@pytest.mark.slow
def test_they_are_counted_with_their_reason(convolution) -> None:
    module = convolution()
    with tpregistry.use("cg-llvm"):
        operands = [operand.requires_grad_() for operand in inputs(module, 5)]
        out = module(*operands)
        with FlopCounterMode(display=False):
            torch.autograd.grad(out.sum(), operands)
    assert tpregistry.decisions().left_to_host == {"tracing, in a backward": 1}
    assert tpregistry.decisions()[-1].calls == 1


def parameters(module: o3.TensorProduct, backward: Callable[[Tensor], None]) -> list[Tensor | None]:
    x, y, weight = leaves(module)
    weight.grad = None
    backward(module(x, y).pow(2).sum())
    return [x.grad, y.grad, weight.grad]


def compiled(loss: Tensor) -> None:
    with compiled_autograd._enable(torch.compile(backend="eager")):
        loss.backward()


def within_a_compiled_step(loss: Tensor) -> None:
    """The engine calls our function while Dynamo looks at every frame."""
    torch.compile(lambda value: (value * 1).backward(), backend="eager")(loss)


def by_flag(loss: Tensor) -> None:
    with torch._dynamo.config.patch(compiled_autograd=True):
        torch.compile(lambda value: (value * 1).backward(), backend="eager")(loss)


@pytest.mark.slow
@pytest.mark.parametrize("backward", [compiled, within_a_compiled_step, by_flag])
def test_compiled_autograd_finds_every_gradient(module, kernel, backward) -> None:
    torch._dynamo.reset()
    with tpregistry.use("off"):
        expected = parameters(module, lambda loss: loss.backward())
    with tpregistry.use(kernel):
        found = parameters(module, backward)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
