"""Compiled code takes addresses: every operand of every order is looked at before."""

import pytest
import torch

import tpregistry
from tpregistry.plan import plan_tensor_product
from tpregistry.testing import zoo
from tpregistry.torch.native import CompiledPlan
from tpregistry.torch.products import Product
from tpregistry_cg.llvm.emitter import WRITER

PROBLEM = zoo("float32")["one triple by two paths"]


def kernels(shared: bool) -> list[CompiledPlan]:
    """The product, its gradients, theirs."""
    forward = CompiledPlan(plan_tensor_product(PROBLEM.at(shared_weights=shared)), torch.float32, WRITER)
    return [forward, forward.vjp(), forward.vjp().vjp()]


def operands(kernel: CompiledPlan, rows: int = 5) -> list[torch.Tensor]:
    return [torch.randn((rows, operand.size) if operand.batched else operand.size) for operand in kernel.plan.inputs]


CHANGES = {
    "narrower": lambda tensor: tensor[..., :-1],
    "wider": lambda tensor: torch.cat([tensor, tensor], -1),
    "an axis more": lambda tensor: tensor[None],
    "without an axis": lambda tensor: tensor[0],
    "another dtype": lambda tensor: tensor.double(),
    "half as wide numbers": lambda tensor: tensor.half(),
    "elsewhere": lambda tensor: tensor.to("meta"),
}


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_operands_and_cotangents_of_all_orders(order: int, shared: bool, change: str) -> None:
    kernel = kernels(shared)[order]
    for number in range(len(kernel.plan.inputs)):
        given = operands(kernel)
        given[number] = CHANGES[change](given[number])
        with pytest.raises(ValueError, match="but this kernel takes"):
            kernel(*given)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_rows_of_all_samples(order: int) -> None:
    kernel = kernels(shared=False)[order]
    for number in range(len(kernel.plan.inputs)):
        given = operands(kernel)
        given[number] = given[number][:-1]
        with pytest.raises(ValueError, match="but this kernel takes"):
            kernel(*given)


@pytest.mark.parametrize("backend", ["gtp-llvm", "auto"])
def test_a_product_of_signals_whose_operand_is_elsewhere(backend: str) -> None:
    from tpregistry import products

    product = Product(products.gaunt("4x0e+4x1o", "4x0e+4x1o", "4x0e+4x1o"))
    x, y = torch.randn(6, 16), torch.randn(6, 16)
    with tpregistry.use(backend):
        product(x, y)
        with pytest.raises((ValueError, RuntimeError, NotImplementedError)):
            product(x, y.to("meta"))
        with pytest.raises(ValueError, match="takes 16 and 16"):
            product(x, y[:, :-1])
