"""Backward passes that are mapped over many cotangents, of graphs that an ordinary forward made: stock's numbers, in graphs too."""

from collections.abc import Callable

import pytest
import torch
from e3nn import o3

import tpregistry
from tests.e3nn_host.conftest import inputs
from tpregistry.torch import Graph, TensorProductConv, gaunt

BATCH, DIRECTIONS, NODES = 6, 3, 4


def dense() -> o3.TensorProduct:
    """`uvw`, of scalars and vectors: several kernels between torch's own functions."""
    return o3.FullyConnectedTensorProduct("4x0e+8x1o", "2x0e+2x1o", "4x0e+8x1o", shared_weights=False, internal_weights=False)


def product(module: o3.TensorProduct) -> tuple[Callable[..., torch.Tensor], list[torch.Tensor]]:
    return module, inputs(module, BATCH)


def fused(module: o3.TensorProduct) -> tuple[Callable[..., torch.Tensor], list[torch.Tensor]]:
    x, y, w = inputs(module, BATCH)
    graph = Graph(torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([1, 1, 0, 2, 2, 3]), NODES, NODES)
    layer = TensorProductConv(module)
    return lambda x, y, w: layer(x, y, w, graph), [x[:NODES], y, w]


def signals() -> tuple[Callable[..., torch.Tensor], list[torch.Tensor]]:
    irreps = "4x0e+4x1o"
    return lambda x, y: gaunt(x, y, irreps, irreps, irreps), [torch.randn(BATCH, 16), torch.randn(BATCH, 16)]


@pytest.fixture(params=["uvu", "uvw", "convolution", "signals"])
def case(request, convolution) -> tuple[Callable[..., torch.Tensor], list[torch.Tensor]]:
    torch.manual_seed(0)
    makers = {"uvu": lambda: product(convolution()), "uvw": lambda: product(dense()), "convolution": lambda: fused(convolution())}
    return (makers | {"signals": signals})[request.param]()


def first(function, operands, directions) -> list[torch.Tensor]:
    return list(torch.autograd.grad(function(*operands), operands, directions, is_grads_batched=True))


def through_vmap(function, operands, directions) -> list[torch.Tensor]:
    """Gradients by vmap, and the gradients of those: they are part of a graph."""
    out = function(*operands)
    found = torch.vmap(lambda v: torch.autograd.grad(out, operands, v, create_graph=True))(directions)
    assert all(gradient.requires_grad for gradient in found)
    return [*found, *torch.autograd.grad(sum(gradient.pow(2).sum() for gradient in found), operands)]


def second(function, operands, directions) -> list[torch.Tensor]:
    """A first backward as usual, the second mapped."""
    (gradient,) = torch.autograd.grad(function(*operands).pow(2).sum(), operands[1], create_graph=True)
    many = torch.stack([torch.full_like(gradient, 0.5 + n) for n in range(DIRECTIONS)])
    return list(torch.autograd.grad(gradient, operands, many, is_grads_batched=True, allow_unused=True))


def hessian(function, operands, directions) -> list[torch.Tensor]:
    x, y, *rest = (operand.detach() for operand in operands)
    return [torch.autograd.functional.hessian(lambda y: function(x, y, *rest).pow(2).sum(), y, vectorize=True)]


@pytest.mark.parametrize("pass_", [first, through_vmap, second, hessian])
def test_mapped_backward(pass_, case, kernel) -> None:
    function, operands = case
    operands = [operand.clone().requires_grad_() for operand in operands]
    with tpregistry.use("off"):
        shape = function(*operands).shape
        directions = torch.randn(DIRECTIONS, *shape)
        expected = pass_(function, operands, directions)
    with tpregistry.use(f"{kernel},gtp-llvm"):
        found = pass_(function, operands, directions)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * max(float(value.detach().abs().max()) for value in expected))
    assert {decision.backend for decision in tpregistry.decisions()} >= {kernel}
