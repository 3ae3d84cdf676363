"""How programs use kernels: weights that an optimizer changes in place, and gradients of some operands alone, as of forces."""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor
Function = Callable[..., Tensor]

NAMES = ("x", "y", "w")
ASKED = ("x", "y", "w", "xy")
"""Operands that ask for gradients while the others do not."""

ALIKE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""How far two results of one kernel may be apart, as a fraction of the largest number: what is meant here is another result."""


def faults(function: Function, tensors: dict[str, Tensor], order: int) -> list[str]:
    """What a kernel does wrong there. It is compared with itself, so its results on operands of their own are known to be right."""
    return _stale(function, tensors) + (_lone(function, tensors) if order else [])


def _stale(function: Function, tensors: dict[str, Tensor]) -> list[str]:
    """Whether something is remembered by the tensor that it was made of, and not by its numbers."""
    operands = {name: tensors[name].detach().clone() for name in NAMES}
    wrong = []
    with torch.no_grad():
        function(*operands.values())
        for name, operand in operands.items():
            operand.mul_(-0.5)
            fresh = function(*(other.clone() for other in operands.values()))
            wrong += [] if _alike(function(*operands.values()), fresh) else [f"does not see that {name} was changed in place"]
    return wrong


def _lone(function: Function, tensors: dict[str, Tensor]) -> list[str]:
    """Whether a gradient depends on whose gradients are asked for besides."""
    expected = _gradients(function, tensors, "".join(NAMES))
    wrong = []
    for asked in ASKED:
        found = _gradients(function, tensors, asked)
        where = f"where {' and '.join(asked)} alone ask{'s' if len(asked) == 1 else ''} for gradients"
        wrong += [f"gives another gradient by {name} {where}" for name in asked if not _alike(found[name], expected[name])]
    return wrong


def _gradients(function: Function, tensors: dict[str, Tensor], asked: str) -> dict[str, Tensor]:
    leaves = {name: tensors[name].detach().clone().requires_grad_(name in asked) for name in NAMES}
    wanted = [leaves[name] for name in asked]
    with torch.enable_grad():
        out = function(*leaves.values())
        if not out.requires_grad:
            return {name: torch.zeros_like(leaves[name]) for name in asked}
        found = torch.autograd.grad(out, wanted, tensors["g"].detach(), allow_unused=True, materialize_grads=True)
    return dict(zip(asked, found, strict=True))


def _alike(found: Tensor, expected: Tensor) -> bool:
    share = ALIKE.get(expected.dtype, 5e-2)
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=0.0, atol=share * largest)
