"""The gradients that autograd finds of the host's own code, in a backward in which a kernel's own cannot run.

So it is where a transform maps the backward over many cotangents (``torch.vmap`` over `torch.autograd.grad`,
``is_grads_batched=True``, ``hessian(vectorize=True)``), where it is traced or counted, or where cotangents are no plain tensors: of
graphs whose forward was an ordinary one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Tensor = torch.Tensor
Flags = tuple[bool, ...]


def by_autograd(
    own: Callable[..., Any],
    operands: tuple[Tensor, ...],
    cotangents: tuple[Tensor | None, ...],
    wanted: Flags,
    static: dict[str, Any],
) -> tuple[Tensor | None, ...]:
    """The gradients that are wanted, None for the others, of a function made of torch's; part of a graph where grad mode is on.

    The function runs as it did in the forward, outside of modes and autocast; the modes of the backward see the backward alone.
    """
    create = torch.is_grad_enabled()
    with torch.enable_grad():
        with torch._C._DisableTorchDispatch(), torch.autocast(operands[0].device.type, enabled=False):
            inputs = [_asked(operand) if want else operand for operand, want in zip(operands, wanted, strict=True)]
            found = own(*inputs, **static)
        outputs = found if isinstance(found, tuple) else (found,)
        pairs = [(out, c) for out, c in zip(outputs, cotangents, strict=True) if c is not None and out.requires_grad]
        asked = [operand for operand, want in zip(inputs, wanted, strict=True) if want]
        gradients = iter(_grad(pairs, asked, create))
    return tuple(next(gradients) if want else None for want in wanted)


def gradient_of(own: Callable[..., Any], given: Flags, wanted: Flags) -> Callable[..., tuple[Tensor, ...]]:
    """The gradients of ``own`` as a function that is called like a kernel's `part`: with inputs given, for outputs wanted."""

    def gradients(*inputs: Tensor, **static: Any) -> tuple[Tensor, ...]:
        rest = iter(inputs)
        operands = tuple(next(rest) for _ in wanted)
        cotangents = tuple(next(rest) if here else None for here in given[len(wanted) :])
        found = by_autograd(own, operands, cotangents, wanted, static)
        return tuple(
            torch.zeros_like(operand) if gradient is None else gradient
            for gradient, operand, want in zip(found, operands, wanted, strict=True)
            if want
        )

    return gradients


def _asked(operand: Tensor) -> Tensor:
    """A tensor to ask a gradient for: a view in the operand's graph, or the start of one where it is kept without its own."""
    return operand.view_as(operand) if operand.requires_grad else operand.detach().requires_grad_()


def _grad(pairs: list[tuple[Tensor, Tensor]], asked: list[Tensor], create: bool) -> tuple[Tensor | None, ...]:
    if not pairs:
        return (None,) * len(asked)
    outputs, cotangents = zip(*pairs, strict=True)
    return torch.autograd.grad(outputs, asked, cotangents, create_graph=create, allow_unused=True)
