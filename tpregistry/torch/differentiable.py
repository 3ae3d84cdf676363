"""Kernels as differentiable functions: a plain autograd function over a kernel and its vjp, to any order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from tpregistry.backend import Kernel


def differentiable(kernel: Kernel) -> Callable[..., Any]:
    """A function of the kernel's operands that autograd can differentiate; a kernel without a `vjp` is one already."""
    vjp = getattr(kernel, "vjp", None)
    if vjp is None:
        return kernel

    @cache
    def gradient() -> Callable[..., Any]:
        return differentiable(vjp())

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *operands: torch.Tensor) -> Any:
            ctx.save_for_backward(*operands)
            return kernel(*operands)

        @staticmethod
        def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:
            return gradient()(*ctx.saved_tensors, *cotangents)

    return Product.apply
