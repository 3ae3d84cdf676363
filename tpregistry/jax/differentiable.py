"""Kernels as functions that JAX can differentiate."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax

from tpregistry.backend import Kernel
from tpregistry.opaque import fitting


def differentiable(kernel: Kernel, own: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A function of the kernel's operands, to any order; a kernel without a `vjp` is one already.

    ``own``, which computes the same, is not asked: what a `vjp` raises, it raises while JAX traces it, where the caller sees it.
    One with a `vjp` cannot be used in forward mode; ours is made of a primitive instead, see `primitive`.
    """
    return kernel if getattr(kernel, "vjp", None) is None else _by_vjp(kernel)


@cache
def _by_vjp(kernel: Kernel) -> Callable[..., Any]:
    def forward(*operands: Any) -> Any:
        return function(*operands), operands  # not the kernel: what is differentiated once more would see through it

    def backward(operands: Any, cotangents: Any) -> Any:
        given = cotangents if isinstance(cotangents, tuple) else (cotangents,)
        return fitting(kernel, differentiable(_once(kernel))(*operands, *given), operands)

    function = jax.custom_vjp(lambda *operands: kernel(*operands))
    function.defvjp(forward, backward)
    return function


@cache
def _once(kernel: Any) -> Kernel:
    return kernel.vjp()
