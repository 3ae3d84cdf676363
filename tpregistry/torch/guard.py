"""When a call, or a backward, must be left to the host's own code: what a kernel would silently break.

The same rules hold for both, since a program may enter a transform, a mode or a compiler between them.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.autograd import forward_ad

from tpregistry.torch.plain import TYPES

_STRIDED = torch.strided

_functorch_level = torch._C._functorch.peek_interpreter_stack  # pyright: ignore[reportAttributeAccessIssue]
_is_legacy = torch._C._functorch.is_legacy_batchedtensor  # pyright: ignore[reportAttributeAccessIssue]
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack  # quick; make_fx(pre_dispatch=True) is among them, and no dispatch mode then
_has_key = torch._C._dispatch_tls_is_dispatch_key_included
_PRE_DISPATCH = torch._C.DispatchKey.PreDispatch  # pyright: ignore[reportAttributeAccessIssue]
_tracing = torch._C._get_tracing_state
_autocast = torch._C._is_any_autocast_enabled

SUBCLASS, TRANSFORM, TRACING, AUTOCAST = "tensor subclass or proxy", "functorch transform", "tracing", "autocast"


def left_to_host(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> str | None:
    """The rule by which the host's own code runs this call, or None. Costs well under a microsecond."""
    plain = TYPES
    if not (type(x) in plain and type(y) in plain and type(w) in plain):
        return SUBCLASS
    if not (x.is_cpu is y.is_cpu is w.is_cpu):  # of several GPUs, and of other layouts, `plain` and torch know
        return "operands on different devices"
    return _surroundings()


def backward_left_to_host(tensors: Iterable[torch.Tensor]) -> str | None:
    """The rule by which gradients are found by autograd of the host's own code, or None, for operands and cotangents."""
    for tensor in tensors:
        if type(tensor) not in TYPES:
            return SUBCLASS
        if tensor.layout is not _STRIDED:
            return "tensor that is not strided"
        if _is_legacy(tensor):  # the older vmap, behind `is_grads_batched`
            return TRANSFORM
    if _has_key(_PRE_DISPATCH):  # the mode that holds it is set aside while it runs `torch.autograd.grad`
        return TRACING
    return _surroundings()


def _surroundings() -> str | None:
    """What is in force around every operation of torch."""
    if _functorch_level() is not None:
        return TRANSFORM
    if forward_ad._current_level >= 0:
        return "forward-mode AD"
    if _dispatch_modes() or _tracing() is not None or (_function_modes() and _has_key(_PRE_DISPATCH)):
        return TRACING
    if _autocast():
        return AUTOCAST
    return None
