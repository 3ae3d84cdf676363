"""What programs set or do around a call: default devices, changes in place, copies by other ways, traces before dispatch."""

import copy
import pickle

import pytest
import torch
from e3nn import o3
from torch.fx.experimental.proxy_tensor import make_fx

import tpregistry
from tests.e3nn_host.conftest import inputs, stock


def test_a_default_device_is_not_that_of_the_operands(convolution, kernel) -> None:
    module = convolution()
    args = inputs(module, 7)
    expected = stock(module, *args)
    with tpregistry.use(kernel), torch.device("meta"):
        torch.testing.assert_close(module(*args), expected)


def test_shapes_alone_are_left_to_the_host(convolution, kernel) -> None:
    module = convolution().to("meta")
    with tpregistry.use(kernel):
        assert module(*(operand.to("meta") for operand in inputs(module, 7))).shape == (7, module.irreps_out.dim)
    assert not any(decision.calls for decision in tpregistry.decisions())


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_alone_is_asked_for_may_change_before_the_backward(place, convolution, kernel) -> None:
    def gradient(name: str) -> torch.Tensor:
        leaf = operands[place].clone().requires_grad_()
        changed = leaf * 1
        with tpregistry.use(name):
            out = module(*operands[:place], changed, *operands[place + 1 :])
        with torch.no_grad():
            changed.mul_(3)
        (found,) = torch.autograd.grad(out.pow(2).sum(), leaf)
        return found

    module = convolution()
    operands = inputs(module, 7)
    torch.testing.assert_close(gradient("cg-llvm"), gradient("off"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("asked", ["w", "x", "xw"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_small_buffer_may_be_filled_anew_before_the_backward(asked, shared, convolution, kernel) -> None:
    """As a program does that keeps its inputs in place; e3nn's own code bears it, but for some products."""

    def gradients(name: str, filled: bool) -> list[torch.Tensor]:
        operands = dict(zip("xyw", inputs(module, 7), strict=True)) | ({"w": module.weight.detach().clone()} if shared else {})
        leaves = [operands[one].requires_grad_() for one in asked]
        with tpregistry.use(name):
            out = module(*operands.values())
        if filled:
            with torch.no_grad():
                operands["y"].mul_(3)
        return list(torch.autograd.grad(out.pow(2).sum(), leaves))

    dense = o3.FullyConnectedTensorProduct("16x0e+16x1o", "2x0e", "4x0e+4x1o")
    module = dense if shared else convolution()
    torch.testing.assert_close(gradients(kernel, filled=True), gradients("off", filled=False), rtol=1e-4, atol=1e-3)


def test_what_others_need_may_not(convolution) -> None:
    module = convolution()
    x, y, w = (operand.requires_grad_() for operand in inputs(module, 7))
    changed = x * 1
    with tpregistry.use("cg-llvm"):
        out = module(changed, y, w)
    changed.data_ptr()
    with torch.no_grad():
        changed.mul_(3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_a_trace_before_dispatch_holds_stock_code(convolution, kernel) -> None:
    module = convolution()
    args = inputs(module, 7)
    other = [2 * args[0], *args[1:]]
    with tpregistry.use(kernel):
        module(*args)
        traced = make_fx(lambda *operands: module(*operands), pre_dispatch=True)(*args)
    torch.testing.assert_close(traced(*other), stock(module, *other))


def test_copies_that_pass_over_the_module_bind_for_themselves(convolution, kernel) -> None:
    module = convolution()
    args = inputs(module, 7)
    with tpregistry.use(kernel):
        expected = module(*args)
        for copied in (copy.deepcopy(module.__dict__), pickle.loads(pickle.dumps({"held": module.__dict__["_tpregistry"]}))):
            twin = convolution()
            twin.__dict__["_tpregistry"] = copied.get("_tpregistry", copied.get("held"))
            torch.testing.assert_close(twin(*args), expected)


def test_weights_of_no_numbers_for_each_sample(kernel) -> None:
    paths = [(0, 0, 0, "uvu", False), (1, 1, 1, "uvu", False)]
    module = o3.TensorProduct("4x0e+4x1o", "0e+1o", "4x0e+4x0e", paths, shared_weights=False, internal_weights=False)
    x, y, w = (operand.requires_grad_() for operand in inputs(module, 5))
    assert w.shape == (5, 0)
    expected = torch.autograd.grad(stock(module, x, y, w).pow(2).sum(), [x, y])
    with tpregistry.use(kernel):
        found = torch.autograd.grad(module(x, y, w).pow(2).sum(), [x, y, w], allow_unused=True)
    torch.testing.assert_close(found[:2], expected, rtol=1e-4, atol=1e-4)


def test_complex_operands_are_left_to_the_host(convolution, kernel) -> None:
    module = convolution()
    args = inputs(module, 5)
    expected = outcome(lambda: stock(module, *(operand.to(torch.complex64) for operand in args)))
    with tpregistry.use(kernel):
        assert outcome(lambda: module(*(operand.to(torch.complex64) for operand in args))) == expected


def outcome(attempt) -> object:
    try:
        return attempt().shape
    except Exception as error:
        return type(error)
