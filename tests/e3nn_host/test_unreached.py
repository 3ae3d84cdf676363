"""Gradients by what a result does not depend on: None where stock has None, which programs and optimizers tell from zeros."""

import pytest
import torch
from e3nn import o3

import tpregistry
from tests.e3nn_host.conftest import inputs

PRODUCTS = {
    "uvu": lambda convolution: convolution(),
    "uvw": lambda convolution: o3.FullyConnectedTensorProduct("4x0e+2x1o", "0e+1o", "3x0e+2x1o", internal_weights=False),
    "without weights": lambda convolution: o3.FullTensorProduct("2x0e+2x1o", "2x0e+1x2e"),
}
LOSSES = {
    "sum": torch.sum,
    "l1": lambda out: out.abs().sum(),
    "relu": lambda out: out.relu().sum(),
    "square": lambda out: (out**2).sum(),
}


def found(gradients) -> list[bool]:
    return [gradient is not None for gradient in gradients]


@pytest.mark.parametrize("of", ["x", "y"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("product", PRODUCTS)
def test_second_gradients(convolution, kernel, product, loss, of) -> None:
    module = PRODUCTS[product](convolution).double()
    x, y, w = inputs(module, 5, dtype=torch.float64)
    w = w[0] if module.shared_weights else w
    leaves = [tensor.requires_grad_() for tensor in (x, y, w) if tensor.numel()]

    def second() -> tuple[torch.Tensor | None, ...]:
        out = module(x, y, w)
        (first,) = torch.autograd.grad(LOSSES[loss](out), x if of == "x" else y, create_graph=True)
        return torch.autograd.grad(first.square().sum(), leaves, allow_unused=True)

    with tpregistry.use("off"):
        expected = second()
    with tpregistry.use(kernel):
        ours = second()
    assert found(ours) == found(expected)
    for one, other in zip(ours, expected, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other)


def test_the_error_is_that_of_stock(convolution) -> None:
    module = convolution().double()
    x, y, w = inputs(module, 5, dtype=torch.float64, requires_grad=True)
    for backend in ("off", "cg-llvm"):
        with tpregistry.use(backend):
            (first,) = torch.autograd.grad(module(x, y, w).sum(), x, create_graph=True)
            with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
                torch.autograd.grad(first.sum(), x)
