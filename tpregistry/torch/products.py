"""Products that have an operation of their own (`tpregistry.products`) on tensors: functions, and a module without weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from tpregistry import products
from tpregistry.frame import Host
from tpregistry.hosts import host_for
from tpregistry.problem import Problem
from tpregistry.products import Written
from tpregistry.torch.binding import Bindings, Hook

Tensor = torch.Tensor


class _ProductHook(Hook):
    """The host of such a product is its definition, path by path."""

    def describe(self, module: Any, dtype: torch.dtype) -> Problem:
        return module.problem

    def host(self, module: Any, problem: Problem, device: str) -> Host:
        return host_for(problem, "torch", device)

    def own(self, module: Any) -> Callable[..., Tensor]:
        return lambda x, y, w: _own(module.problem, x.dtype, str(x.device))(x, y, w)

    def weights(self, module: Any, given: Tensor | None) -> Tensor:
        raise TypeError("this product has no weights")


_HOOK = _ProductHook()


@cache
def _own(problem: Problem, dtype: torch.dtype, device: str) -> Any:
    return host_for(problem.at(dtype=str(dtype).removeprefix("torch.")), "torch", device).kernel


class Product(torch.nn.Module):
    """The product of a problem without weights, by the fastest valid backend: x (..., in1.dim), y (..., in2.dim) -> (..., out.dim).

    ``problem`` comes from a function of `tpregistry.products`. Under torch.compile and the like the host's code runs.
    """

    def __init__(self, problem: Problem) -> None:
        """Raises ValueError for a problem with weights."""
        super().__init__()
        if problem.weight_numel:
            raise ValueError(f"{problem} has weights; a Product has none")
        self.problem, self._bindings = problem, Bindings()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Multiply; leading dimensions are broadcast. Raises ValueError for sizes that are not those of the irreps."""
        sizes = self.problem.irreps_in1.dim, self.problem.irreps_in2.dim
        if (x.shape[-1], y.shape[-1]) != sizes:
            given = f"x and y end in {x.shape[-1]} and {y.shape[-1]} components"
            raise ValueError(f"{given}, but {self.problem} takes {sizes[0]} and {sizes[1]}")
        w = x.new_zeros(0)
        if torch.compiler.is_compiling():
            return self._stock(x, y, w)
        return _HOOK.call(self, self._bindings, lambda: self._stock(x, y, w), x, y, w)

    def _stock(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        lead = torch.broadcast_shapes(x.shape[:-1], y.shape[:-1])
        rows = (operand.expand(*lead, operand.shape[-1]).reshape(lead.numel(), operand.shape[-1]) for operand in (x, y))
        return _HOOK.own(self)(*rows, w).reshape(*lead, self.problem.irreps_out.dim)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_bindings": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state | {"_bindings": Bindings()})

    def extra_repr(self) -> str:
        """The problem."""
        return str(self.problem)


@cache
def _product(operation: str, in1: Written, in2: Written, out: Written, normalization: str) -> Product:
    return Product(getattr(products, operation)(in1, in2, out, normalization))


def gaunt(x: Tensor, y: Tensor, in1: Written, in2: Written, out: Written, normalization: str = "component") -> Tensor:
    """The pointwise product of functions on the sphere, see `tpregistry.products.gaunt`; shapes as for `Product`."""
    return _product("gaunt", in1, in2, out, normalization)(x, y)


def curl(x: Tensor, y: Tensor, in1: Written, in2: Written, out: Written, normalization: str = "component") -> Tensor:
    """The surface curl of functions on the sphere, see `tpregistry.products.curl`; shapes as for `Product`."""
    return _product("curl", in1, in2, out, normalization)(x, y)


def vector_signal(x: Tensor, y: Tensor, in1: Written, in2: Written, out: Written, normalization: str = "component") -> Tensor:
    """The vector product of fields on the sphere, see `tpregistry.products.vector_signal`; shapes as for `Product`."""
    return _product("vector_signal", in1, in2, out, normalization)(x, y)


def matrix_product(x: Tensor, y: Tensor, in1: Written, in2: Written, out: Written, normalization: str = "component") -> Tensor:
    """The product of irreps as matrices, see `tpregistry.products.matrix_product`; shapes as for `Product`."""
    return _product("matrix_product", in1, in2, out, normalization)(x, y)
