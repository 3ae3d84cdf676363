"""Kernels as differentiable functions: a plain autograd function over a kernel and its vjp, to any order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from tpregistry.backend import Kernel
from tpregistry.opaque import fitting

Tensor = torch.Tensor
Flags = tuple[bool, ...]


def differentiable(kernel: Kernel) -> Callable[..., Any]:
    """A function of the kernel's operands that autograd can differentiate; a kernel without a `vjp` is one already.

    ``graph`` goes to kernels of convolutions, and to their derivatives.
    """
    vjp = getattr(kernel, "vjp", None)
    if vjp is None:
        return kernel
    gradients = _Gradients(kernel, vjp)

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, static: dict[str, Any], *operands: Tensor) -> Any:
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(*operands)
            results = kernel(*operands, **static)
            ctx.static = static
            ctx.shapes = [result.shape for result in (results if isinstance(results, tuple) else (results,))]
            return results

        @staticmethod
        def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
            return None, *gradients(ctx.saved_tensors, cotangents, ctx.shapes, _wanted(ctx), ctx.static)

    apply = Product.apply
    return lambda *operands, **static: apply(static, *operands)


class _Gradients:
    """The vjp of a kernel, called with what there is for what is asked: a kernel with `part` leaves out the rest."""

    def __init__(self, kernel: Kernel, vjp: Callable[[], Kernel]) -> None:
        self._kernel, self._whole = kernel, cache(vjp)
        self._functions: dict[tuple[Flags, Flags] | None, Callable[..., Any]] = {}

    def __call__(
        self,
        operands: tuple[Tensor, ...],
        cotangents: tuple[Tensor | None, ...],
        shapes: Any,
        wanted: Flags,
        static: dict[str, Any],
    ) -> Any:
        given = tuple(cotangent is not None for cotangent in cotangents)
        if not any(given) or not any(wanted):
            return (None,) * len(wanted)
        if hasattr(self._whole(), "part"):
            function = self._part((True,) * len(operands) + given, wanted)
            found = iter(function(*operands, *(c for c in cotangents if c is not None), **static))
            return tuple(next(found) if want else None for want in wanted)
        filled = [operands[0].new_zeros(s) if c is None else c for c, s in zip(cotangents, shapes, strict=True)]
        found = self._function(None, self._whole)(*operands, *filled, **static)
        return _last(fitting(self._kernel, found, operands), (*operands, *filled))

    def _part(self, given: Flags, wanted: Flags) -> Callable[..., Any]:
        return self._function((given, wanted), lambda: self._whole().part(given, wanted))  # type: ignore[attr-defined]

    def _function(self, key: tuple[Flags, Flags] | None, make: Callable[[], Kernel]) -> Callable[..., Any]:
        if key not in self._functions:
            self._functions[key] = differentiable(make())
        return self._functions[key]


def _last(gradients: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Gradients that autograd cannot follow, because their kernel brings no `vjp`, raise when they are differentiated."""
    if not torch.is_grad_enabled() or any(g.requires_grad for g in gradients) or not any(i.requires_grad for i in inputs):
        return gradients
    end = torch._C._functions.DelayedError(END, len(gradients))
    return end(*(gradient.detach().requires_grad_() for gradient in gradients))


END = "this backend has no derivatives of a higher order: its last kernel has no `vjp` and is not made of torch's functions; use another"


def _wanted(ctx: Any) -> Flags:
    """Whose gradients this run of the engine asks for; ``needs_input_grad`` alone does not know what `grad` was given."""
    nodes = (node for node, _ in ctx.next_functions)
    return tuple(needs and _runs(node) for needs, node in zip(ctx.needs_input_grad[1:], nodes, strict=True))


def _runs(node: Any) -> bool:
    try:
        return torch._C._will_engine_execute_node(node)
    except RuntimeError:  # a leaf that `grad` was asked for
        return True
