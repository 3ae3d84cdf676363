"""Kernels, and derivatives of kernels, that raise in use: the host's code from then on, unless the error is the program's own."""

import signal
import sys
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from e3nn import o3

import tpregistry
from tests.e3nn_host.conftest import inputs
from tpregistry.interrupts import from_signal_handler
from tpregistry.torch.native import CompiledPlan

ERRORS = [RuntimeError("gave up"), SystemExit(3), MemoryError("of its own"), NotImplementedError("no such order")]


class Raising:
    """In place of a method of `CompiledPlan`: raises at some orders of derivatives, by the names of the outputs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException, outputs: set[str]) -> None:
        stock = CompiledPlan.__call__

        def call(plan, *operands, graph=None):
            if {operand.name for operand in plan.plan.outputs} & outputs:
                raise error
            return stock(plan, *operands, graph=graph)

        monkeypatch.setattr(CompiledPlan, "__call__", call)


def first(module, operands) -> list[torch.Tensor]:
    return list(torch.autograd.grad(module(*operands).pow(2).sum(), operands))


def second(module, operands) -> list[torch.Tensor]:
    (force,) = torch.autograd.grad(module(*operands).pow(2).sum(), operands[1], create_graph=True)
    return list(torch.autograd.grad(force.pow(2).sum(), operands))


@pytest.mark.parametrize("outputs", [{"out"}, {"dx", "dy", "dw"}], ids=["forward", "backward"])
def test_what_raises_in_use_ends_in_the_host(outputs, convolution, monkeypatch) -> None:
    for error in ERRORS:
        name, module = type(error).__name__, convolution()
        operands = [operand.requires_grad_() for operand in inputs(module, 4)]
        with tpregistry.use("off"):
            expected = first(module, operands)
        with tpregistry.use("cg-llvm,e3nn"), monkeypatch.context() as patch:
            module(*operands)  # it is checked while it is still right
            Raising(patch, error, outputs)
            with pytest.warns(UserWarning, match=f"cg-llvm raised {name}.*host's code runs from now on"):
                found = first(module, operands)
            again = first(module, operands)  # no more warnings
        torch.testing.assert_close([*found, *again], [*expected, *expected], rtol=1e-4, atol=1e-4)
        assert [rule for rule in tpregistry.decisions().left_to_host if rule.startswith(f"cg-llvm raised {name}")]


def test_of_the_second_order_too(convolution, monkeypatch) -> None:
    module = convolution()
    operands = [operand.requires_grad_() for operand in inputs(module, 4)]
    with tpregistry.use("off"):
        expected = second(module, operands)
    with tpregistry.use("cg-llvm,e3nn"):
        (force,) = torch.autograd.grad(module(*operands).pow(2).sum(), operands[1], create_graph=True)
        Raising(monkeypatch, ValueError("gave up"), {"dx", "dw"})
        with pytest.warns(UserWarning, match="cg-llvm raised ValueError: gave up"):
            found = list(torch.autograd.grad(force.pow(2).sum(), operands))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_forced_backend_says_what_it_raised(convolution, monkeypatch) -> None:
    module = convolution()
    operands = [operand.requires_grad_() for operand in inputs(module, 4)]
    with tpregistry.use("cg-llvm"):
        out = module(*operands)
        Raising(monkeypatch, ValueError("gave up"), {"dx"})
        with pytest.raises(ValueError, match="gave up"):
            torch.autograd.grad(out.sum(), operands)


class Handler:
    def __call__(self, number: int, frame: object) -> None:
        sys.exit(143)

    def method(self, number: int, frame: object) -> None:
        raise TimeoutError


HANDLERS = [
    lambda number, frame: sys.exit(143),
    partial(lambda word, number, frame: sys.exit(word), 143),
    Handler(),
    Handler().method,
]


@pytest.fixture
def _handled() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_handled")
def test_what_a_signal_handler_raises_is_the_programs_own(convolution, monkeypatch) -> None:
    """As of a job that is told to end, or of a call that takes too long."""
    module, stock, now = convolution(), CompiledPlan.__call__, set()
    operands = [operand.requires_grad_() for operand in inputs(module, 4)]

    def call(plan, *operands, graph=None):
        if {operand.name for operand in plan.plan.outputs} & now:
            signal.raise_signal(signal.SIGTERM)
        return stock(plan, *operands, graph=graph)

    with tpregistry.use("cg-llvm,e3nn"):
        module(*operands)
        monkeypatch.setattr(CompiledPlan, "__call__", call)
        for handler in HANDLERS:
            signal.signal(signal.SIGTERM, handler)
            for outputs in ({"out"}, {"dx"}):
                now = outputs
                with pytest.raises((SystemExit, TimeoutError)):
                    first(module, operands)


def test_an_error_without_a_handler_is_none_of_a_handlers() -> None:
    assert not from_signal_handler(ValueError("never raised"))


UVW = {
    "first": (first, {"dx", "dy", "dw"}),
    "second": (second, {"ddy", "dx", "dw", "ddx"}),
}


@pytest.mark.parametrize("order", UVW)
@pytest.mark.parametrize("error", [RuntimeError("gave up"), SystemExit(3), MemoryError("of its own")])
def test_parts_of_a_kernel_that_raise_end_in_the_host(order, error, monkeypatch) -> None:
    """Channels that are mixed: a compiled product between torch's own functions."""
    module = o3.FullyConnectedTensorProduct("4x0e+2x1o", "2x0e+2x1o", "3x0e+2x1o", internal_weights=False)
    x, y, w = inputs(module, 4)
    operands = [operand.requires_grad_() for operand in (x, y, w[0].clone())]
    gradients, outputs = UVW[order]
    with tpregistry.use("off"):
        expected = gradients(module, operands)
    with tpregistry.use("cg-llvm,e3nn"):
        torch.testing.assert_close(gradients(module, operands), expected, rtol=1e-4, atol=1e-4)
        Raising(monkeypatch, error, outputs)
        with pytest.warns(UserWarning, match=f"cg-llvm raised {type(error).__name__}.*host's code runs from now on"):
            found = gradients(module, operands)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_parts_of_a_forced_kernel_raise_their_error(monkeypatch) -> None:
    module = o3.FullyConnectedTensorProduct("4x0e+2x1o", "2x0e+2x1o", "3x0e+2x1o", internal_weights=False)
    x, y, w = inputs(module, 4)
    operands = [operand.requires_grad_() for operand in (x, y, w[0].clone())]
    with tpregistry.use("cg-llvm"):
        first(module, operands)
        Raising(monkeypatch, ValueError("gave up"), {"dx", "dy"})
        with pytest.raises(ValueError, match="gave up"):
            first(module, operands)
