"""Kernels as differentiable functions: a plain autograd function over a kernel and its vjp, to any order."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch

from tpregistry import session
from tpregistry.backend import Kernel
from tpregistry.opaque import Fitting
from tpregistry.torch.by_autograd import by_autograd, gradient_of
from tpregistry.torch.guard import AUTOCAST, backward_left_to_host
from tpregistry.torch.plain import NotPlain, all_plain, plain
from tpregistry.torch.undisturbed import undisturbed

Tensor = torch.Tensor
Flags = tuple[bool, ...]
Function = Callable[..., Any]
Lost = Callable[[Callable[[], Any], BaseException], Any]

END = "this backend has no derivatives of a higher order: its last kernel has no `vjp` and is not made of torch's functions"

_lost_around: ContextVar[Lost | None] = ContextVar("tpregistry_lost", default=None)
"""What is called where a `vjp` raises that belongs to a part of a larger kernel."""

SMALL = 4
"""An operand is small that has at most such a part of the largest one's numbers: its copy costs nothing to speak of."""


def differentiable(kernel: Kernel, own: Function | None = None, lost: Lost | None = None) -> Function:
    """A function of the kernel's operands that autograd can differentiate; a kernel without a `vjp` is one already.

    ``own`` computes the same, by functions of torch: it runs where a backward is not one for kernels, see `guard`. ``lost`` is
    called where a `vjp` raises, with the host's gradients as a function and the error; it returns these or raises. ``graph``
    goes to kernels of convolutions, and to their derivatives.
    """
    vjp = getattr(kernel, "vjp", None)
    if vjp is None:
        return kernel if lost is None else _within(kernel, lost)
    gradients = _Gradients(kernel, vjp, own, lost)
    multilinear = getattr(getattr(kernel, "plan", None), "multilinear", False)

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, static: dict[str, Any], *operands: Tensor) -> Any:
            ctx.set_materialize_grads(False)
            _save(ctx, operands, multilinear)
            results = kernel(*operands, **static)
            ctx.static, ctx.lost = static, lost or _lost_around.get()
            ctx.shapes = [result.shape for result in (results if isinstance(results, tuple) else (results,))]
            return results

        @staticmethod
        @undisturbed
        def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
            return None, *gradients(_saved(ctx), cotangents, ctx.shapes, _wanted(ctx), ctx.static, ctx.lost)

    apply = Product.apply
    return _gated(lambda *operands, **static: apply(static, *operands), own)


def _within(kernel: Kernel, lost: Lost) -> Function:
    """A kernel made of differentiable functions, which know in their backwards what to do where a `vjp` of theirs raises."""

    def function(*operands: Tensor, **static: Any) -> Any:
        around = _lost_around.set(lost)
        try:
            return kernel(*operands, **static)
        finally:
            _lost_around.reset(around)

    return function


def _gated(function: Function, own: Function | None) -> Function:
    """A function that takes addresses, called with plain tensors only; what cannot be made plain is left to the host's code."""

    def gated(*operands: Tensor, **static: Any) -> Any:
        if plain(operands):
            return function(*operands, **static)
        try:
            return function(*all_plain(operands), **static)
        except NotPlain:
            if own is None:
                raise
            session.made.left_to_host["tensor without plain memory"] += 1
            return own(*operands, **static)

    return gated


class _Gradients:
    """The vjp of a kernel, called with what there is for what is asked: a kernel with `part` leaves out the rest."""

    def __init__(self, kernel: Kernel, vjp: Callable[[], Kernel], own: Function | None, lost: Lost | None) -> None:
        self._kernel, self._own, self._lost, self._whole = kernel, own, lost, cache(vjp)
        self._functions: dict[tuple[Flags, Flags] | None, Function] = {}
        self._ways = cache(self._reached)

    def __call__(
        self,
        operands: tuple[Tensor, ...],
        cotangents: tuple[Tensor | None, ...],
        shapes: Any,
        wanted: Flags,
        static: dict[str, Any],
        lost: Lost | None,
    ) -> Any:
        given = tuple(cotangent is not None for cotangent in cotangents)
        if not any(given) or not any(wanted):
            return (None,) * len(wanted)
        rule = backward_left_to_host((*operands, *(c for c in cotangents if c is not None)))
        if rule is not None and not (rule == AUTOCAST and self._own is None):
            session.made.left_to_host[f"{rule}, in a backward"] += 1
            return self._by_autograd(rule, operands, cotangents, wanted, static)
        around = _lost_around.set(lost)
        try:
            return self._by_kernel(operands, cotangents, shapes, wanted, static)
        except (Exception, SystemExit) as error:
            if lost is None:
                raise
            return lost(lambda: self._by_autograd("use", operands, cotangents, wanted, static), error)
        finally:
            _lost_around.reset(around)

    def _by_autograd(self, where: str, operands: Any, cotangents: Any, wanted: Flags, static: dict[str, Any]) -> Any:
        if self._own is None:
            raise RuntimeError(f"{self._kernel.engine}: no gradients in {where}, for it has no code of torch's own to take them of")
        return by_autograd(self._own, operands, cotangents, wanted, static)

    def _by_kernel(
        self,
        operands: tuple[Tensor, ...],
        cotangents: tuple[Tensor | None, ...],
        shapes: Any,
        wanted: Flags,
        static: dict[str, Any],
    ) -> tuple[Tensor | None, ...]:
        given = tuple(cotangent is not None for cotangent in cotangents)
        if hasattr(self._whole(), "part"):
            wanted = wanted if _engine_is_compiled() else self._ways(given, wanted)
            if not any(wanted):
                return (None,) * len(wanted)
            function = self._part((True,) * len(operands) + given, wanted)
            found = iter(function(*operands, *(c for c in cotangents if c is not None), **static))
            return tuple(next(found) if want else None for want in wanted)
        filled = [operands[0].new_zeros(s) if c is None else c for c, s in zip(cotangents, shapes, strict=True)]
        every = (True,) * len(operands)
        flags = every + (True,) * len(filled), every
        function = self._function(None, lambda: Fitting(self._kernel, self._whole(), len(operands)), flags)
        return _last(function(*operands, *filled, **static), (*operands, *filled))

    def _reached(self, given: Flags, wanted: Flags) -> Flags:
        """Those wanted that anything leads to. For others, as the second gradient by an operand that all is linear in, autograd of
        the host's code has None, which is not zeros."""
        plan = getattr(self._whole(), "plan", None)
        if plan is None:
            return wanted
        targets = {term.target.operand for term in plan.part((True,) * len(wanted) + given, wanted).terms}
        return tuple(want and operand.name in targets for want, operand in zip(wanted, plan.outputs, strict=True))

    def _part(self, given: Flags, wanted: Flags) -> Function:
        return self._function((given, wanted), lambda: self._whole().part(given, wanted), (given, wanted))  # type: ignore[attr-defined]

    def _function(self, key: tuple[Flags, Flags] | None, make: Callable[[], Kernel], flags: tuple[Flags, Flags]) -> Function:
        if key not in self._functions:
            own = gradient_of(self._own, *flags) if self._own is not None else None
            kernel = make()
            function = differentiable(kernel, own, self._lost)
            self._functions[key] = _gated(function, own) if getattr(kernel, "vjp", None) is None else function
        return self._functions[key]


def _engine_is_compiled() -> bool:
    """Whether compiled autograd runs this backward: its graph adds up what it asked for, and takes no None."""
    module = sys.modules.get("torch._dynamo.compiled_autograd")
    return module is not None and bool(getattr(module, "in_compiled_autograd_region", False))


def _save(ctx: Any, operands: tuple[Tensor, ...], multilinear: bool) -> None:
    """What the gradients need; autograd watches it for changes, so nothing else.

    Where one gradient alone is asked for, of a multilinear kernel, it does not depend on its operand, which may be changed.
    """
    needs = ctx.needs_input_grad[1:]
    ctx.unread = needs.index(True) if multilinear and sum(needs) == 1 else None
    if ctx.unread is not None:
        ctx.stand_in = operands[ctx.unread].detach()
    kept = operands if all(needs) else _kept(operands, needs)
    ctx.save_for_backward(*(tensor for place, tensor in enumerate(kept) if place != ctx.unread))


def _kept(operands: tuple[Tensor, ...], needs: Flags) -> list[Tensor]:
    """Copies of small operands outside of the graph: programs fill such buffers anew before the backward, and stock lets them."""
    large = max(operand.numel() for operand in operands) // SMALL
    return [o if need or o.numel() > large else o.clone() for o, need in zip(operands, needs, strict=True)]


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
