"""When a call must be left to the host's own code: transforms, tracing and modes that a kernel would silently break."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad

_PLAIN = frozenset((torch.Tensor, torch.nn.Parameter))

_functorch_level = torch._C._functorch.peek_interpreter_stack  # pyright: ignore[reportAttributeAccessIssue]
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack  # quick; make_fx(pre_dispatch=True) is among them, and no dispatch mode then
_has_key = torch._C._dispatch_tls_is_dispatch_key_included
_PRE_DISPATCH = torch._C.DispatchKey.PreDispatch  # pyright: ignore[reportAttributeAccessIssue]
_tracing = torch._C._get_tracing_state
_autocast = torch._C._is_any_autocast_enabled


def left_to_host(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> str | None:
    """The rule by which the host's own code runs this call, or None. Costs well under a microsecond."""
    plain = _PLAIN
    if not (type(x) in plain and type(y) in plain and type(w) in plain):
        return "tensor subclass or proxy"
    if _functorch_level() is not None:
        return "functorch transform"
    if forward_ad._current_level >= 0:
        return "forward-mode AD"
    if _dispatch_modes() or _tracing() is not None or (_function_modes() and _has_key(_PRE_DISPATCH)):
        return "tracing"
    if _autocast():
        return "autocast"
    return None
