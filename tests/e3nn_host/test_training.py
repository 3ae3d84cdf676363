"""Ways of training around a patched module: checkpointing and accumulated gradients give the gradients of stock."""

from functools import partial

import pytest
import torch
from e3nn import o3
from torch.utils.checkpoint import checkpoint

import tpregistry
from tests.e3nn_host.conftest import inputs
from tpregistry import session
from tpregistry.settings import override

recomputed = partial(checkpoint, use_reentrant=False)


@pytest.fixture
def module() -> o3.TensorProduct:
    return o3.FullyConnectedTensorProduct("8x0e+4x1o", "0e+1o+1e", "8x0e+4x1o+4x1e").double()


def calls(backend: str) -> int:
    return sum(decision.calls for decision in tpregistry.decisions() if decision.backend == backend)


def operands(module, batch: int, seed: int = 0) -> list[torch.Tensor]:
    return inputs(module, batch, seed, dtype=torch.float64, requires_grad=True)[:2]


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("backend", ["auto", "cg-hoist", "cg-llvm"])
def test_checkpointing(module, backend, reentrant) -> None:
    """The first call of all may be the recomputation: everything is bound, and for `auto` measured, inside it."""
    x, y = operands(module, 20)

    def gradients() -> list[torch.Tensor]:
        leaves = (x, y, module.weight)
        for leaf in leaves:
            leaf.grad = None
        out = checkpoint(lambda a, b: module(a, b).sin(), x, y, use_reentrant=reentrant)
        out.square().sum().backward()
        return [leaf.grad for leaf in leaves]

    with tpregistry.use("off"):
        expected = gradients()
    with tpregistry.use(backend, budget=2):
        found = gradients()
    torch.testing.assert_close(found, expected)
    assert backend == "auto" or calls(backend) == 2, "forward, and once more in the backward"


@pytest.mark.parametrize("backend", ["auto", "cg-hoist", "cg-llvm"])
def test_checkpointed_forces(module, backend) -> None:
    """A force inside the training loss: the checkpoint is recomputed with a graph."""
    x, y = operands(module, 20)

    def gradients() -> tuple[torch.Tensor, ...]:
        out = checkpoint(lambda a, b: module(a, b).sin(), x, y, use_reentrant=False)
        (force,) = torch.autograd.grad(out.sum(), y, create_graph=True)
        return torch.autograd.grad(force.square().sum(), (x, y, module.weight))

    with tpregistry.use("off"):
        expected = gradients()
    with tpregistry.use(backend, budget=2):
        found = gradients()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("backend", ["auto", "cg-hoist", "cg-llvm"])
def test_gradients_accumulate(module, backend) -> None:
    x, y = (tensor.detach() for tensor in operands(module, 24))
    with tpregistry.use("off"):
        module(x, y).square().sum().backward()
    expected, module.weight.grad = module.weight.grad, None
    with tpregistry.use(backend, budget=2):
        for part in range(4):
            module(x[6 * part : 6 * part + 6], y[6 * part : 6 * part + 6]).square().sum().backward()
    torch.testing.assert_close(module.weight.grad, expected)
    assert backend == "auto" or calls(backend) == 4


def without_torchscript(module, *names: str) -> None:
    """Checkpoints of e3nn 0.4.4's own TorchScript fail with or without us: it saves other tensors once it is optimised."""
    if {"e3nn", "off"} & {*names} and isinstance(module._compiled_main_left_right, torch.jit.ScriptModule):
        pytest.skip("stock raises CheckpointError")


def decided(monkeypatch, first: str, second: str) -> None:
    """Have orders 1 and 2 decided so."""
    resolve = session.resolve

    def by_order(problem, host, framework, device, settings, batch):
        with tpregistry.use({1: first, 2: second}[problem.derivatives]):
            return resolve(problem, host, framework, device, override.get(), batch)

    monkeypatch.setattr(session, "resolve", by_order)


BY_ORDER = [("cg-llvm", "cg-hoist"), ("cg-hoist", "cg-llvm"), ("e3nn", "cg-llvm"), ("cg-llvm", "e3nn"), ("cg-hoist", "e3nn")]


@pytest.mark.parametrize(("first", "second"), BY_ORDER)
def test_checkpointed_forces_where_orders_are_decided_differently(module, monkeypatch, first, second) -> None:
    """The order rises in the first backward, after which the checkpoint is recomputed once more."""
    without_torchscript(module, first, second)
    decided(monkeypatch, first, second)
    x, y = operands(module, 20)

    def forces(run=recomputed) -> tuple[torch.Tensor, ...]:
        out = run(lambda a, b: module(module(a, b)[:, :20], b).sin() + module(a, b), x, y)
        (force,) = torch.autograd.grad(out.sin().sum(), y, create_graph=True)
        return torch.autograd.grad(force.square().sum(), (x, y, module.weight))

    with tpregistry.use("off"):
        expected = forces(lambda function, *given: function(*given))
    for _ in range(2):
        torch.testing.assert_close(forces(), expected)
    assert calls(first), "in the first step, and in all its recomputations"
    assert calls(second), "in the second"


@pytest.mark.parametrize(("left", "right"), [("cg-llvm", "off"), ("off", "cg-llvm"), ("cg-hoist", "cg-llvm")])
def test_checkpointed_in_other_settings_than_its_backward(module, left, right) -> None:
    without_torchscript(module, left, right)
    x, y = operands(module, 20)
    with tpregistry.use("off"):
        expected = torch.autograd.grad(module(x, y).sin().sum(), (x, y, module.weight))
    with tpregistry.use(left):
        out = checkpoint(lambda a, b: module(a, b).sin(), x, y, use_reentrant=False)
    with tpregistry.use(right):
        found = torch.autograd.grad(out.sum(), (x, y, module.weight))
    torch.testing.assert_close(found, expected)


def test_nested_checkpoints_where_orders_are_decided_differently(module, monkeypatch) -> None:
    decided(monkeypatch, "cg-llvm", "cg-hoist")
    x, y = operands(module, 20)

    def inner(a, b):
        return module(a, b).sin()

    def forces(run=recomputed) -> tuple[torch.Tensor, ...]:
        out = run(lambda a, b: run(inner, a, b).cos() * module(a, b), x, y)
        (force,) = torch.autograd.grad(out.sum(), y, create_graph=True)
        return torch.autograd.grad(force.square().sum(), (x, y, module.weight))

    with tpregistry.use("off"):
        expected = forces(lambda function, *given: function(*given))
    for _ in range(2):
        torch.testing.assert_close(forces(), expected)
