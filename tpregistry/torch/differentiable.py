"""Kernels as differentiable functions: a plain autograd function over a kernel and its vjp, to any order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from tpregistry.backend import Kernel
from tpregistry.opaque import Fitting
from tpregistry.torch.mapped import by_autograd, gradient_of, mapped

Tensor = torch.Tensor
Flags = tuple[bool, ...]

END = "this backend has no derivatives of a higher order: its last kernel has no `vjp` and is not made of torch's functions"


def differentiable(kernel: Kernel, own: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A function of the kernel's operands that autograd can differentiate; a kernel without a `vjp` is one already.

    ``own`` computes the same, by functions of torch: it runs where a backward is mapped over many cotangents. ``graph`` goes to
    kernels of convolutions, and to their derivatives.
    """
    vjp = getattr(kernel, "vjp", None)
    if vjp is None:
        return kernel
    gradients = _Gradients(kernel, vjp, own)
    multilinear = getattr(getattr(kernel, "plan", None), "multilinear", False)

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, static: dict[str, Any], *operands: Tensor) -> Any:
            ctx.set_materialize_grads(False)
            _save(ctx, operands, multilinear)
            results = kernel(*operands, **static)
            ctx.static = static
            ctx.shapes = [result.shape for result in (results if isinstance(results, tuple) else (results,))]
            return results

        @staticmethod
        def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
            return None, *gradients(_saved(ctx), cotangents, ctx.shapes, _wanted(ctx), ctx.static)

    apply = Product.apply
    return lambda *operands, **static: apply(static, *operands)


class _Gradients:
    """The vjp of a kernel, called with what there is for what is asked: a kernel with `part` leaves out the rest."""

    def __init__(self, kernel: Kernel, vjp: Callable[[], Kernel], own: Callable[..., Any] | None) -> None:
        self._kernel, self._own, self._whole = kernel, own, cache(vjp)
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
        if self._own is not None and mapped(cotangents):
            return by_autograd(self._own, operands, cotangents, wanted, static)
        if hasattr(self._whole(), "part"):
            function = self._part((True,) * len(operands) + given, wanted)
            found = iter(function(*operands, *(c for c in cotangents if c is not None), **static))
            return tuple(next(found) if want else None for want in wanted)
        filled = [operands[0].new_zeros(s) if c is None else c for c, s in zip(cotangents, shapes, strict=True)]
        every = (True,) * len(operands)
        flags = every + (True,) * len(filled), every
        function = self._function(None, lambda: Fitting(self._kernel, self._whole(), len(operands)), flags)
        return _last(function(*operands, *filled, **static), (*operands, *filled))

    def _part(self, given: Flags, wanted: Flags) -> Callable[..., Any]:
        return self._function((given, wanted), lambda: self._whole().part(given, wanted), (given, wanted))  # type: ignore[attr-defined]

    def _function(
        self, key: tuple[Flags, Flags] | None, make: Callable[[], Kernel], flags: tuple[Flags, Flags]
    ) -> Callable[..., Any]:
        if key not in self._functions:
            own = gradient_of(self._own, *flags) if self._own is not None else None
            self._functions[key] = differentiable(make(), own)
        return self._functions[key]


def _save(ctx: Any, operands: tuple[Tensor, ...], multilinear: bool) -> None:
    """What the gradients need; autograd watches it for changes, so nothing else.

    Where one gradient alone is asked for, of a multilinear kernel, it does not depend on its operand, which may be changed.
    """
    needs = ctx.needs_input_grad[1:]
    ctx.unread = needs.index(True) if multilinear and sum(needs) == 1 else None
    if ctx.unread is None:
        ctx.save_for_backward(*operands)
    else:
        ctx.stand_in = operands[ctx.unread].detach()
        ctx.save_for_backward(*operands[: ctx.unread], *operands[ctx.unread + 1 :])


def _saved(ctx: Any) -> tuple[Tensor, ...]:
    """The operands as they were; one that is not read may have become another."""
    saved = ctx.saved_tensors
    return saved if ctx.unread is None else (*saved[: ctx.unread], ctx.stand_in, *saved[ctx.unread :])


def _last(gradients: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Gradients that autograd cannot follow, because their kernel brings no `vjp`, raise when they are differentiated."""
    if not torch.is_grad_enabled() or any(g.requires_grad for g in gradients) or not any(i.requires_grad for i in inputs):
        return gradients
    return _End.apply(*gradients, *inputs)[: len(gradients)]


class _End(torch.autograd.Function):
    """The end of a graph: what comes out depends on all that goes in, in a way that nobody knows."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        raise RuntimeError(END)


def _wanted(ctx: Any) -> Flags:
    """Whose gradients this run of the engine asks for; ``needs_input_grad`` alone does not know what `grad` was given."""
    nodes = (node for node, _ in ctx.next_functions)
    return tuple(needs and _runs(node) for needs, node in zip(ctx.needs_input_grad[1:], nodes, strict=True))


def _runs(node: Any) -> bool:
    try:
        return torch._C._will_engine_execute_node(node)
    except RuntimeError:  # a leaf that `grad` was asked for
        return True
