"""Modules that a site skips: whether a call of one would do anything but run the forward that we know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.modules import module as torch_module

Module = torch.nn.Module

_CALL, _CALL_IMPL = Module.__call__, Module._call_impl
_forward_hooks, _forward_pre_hooks = torch_module._global_forward_hooks, torch_module._global_forward_pre_hooks
_backward_hooks, _backward_pre_hooks = torch_module._global_backward_hooks, torch_module._global_backward_pre_hooks


def more(module: Any, forward: Callable[..., Any]) -> str | None:
    """Why calling a module does more than ``forward``, the class's own: hooks of any kind, another forward, another way of
    calling modules; or None. In the path of each call."""
    kind, its = type(module), module.__dict__
    if kind.forward is not forward:
        return f"another forward of {kind.__name__}"
    if "forward" in its or its.get("_compiled_call_impl") is not None:
        return "another forward of a product"
    if kind.__call__ is not _CALL or kind._call_impl is not _CALL_IMPL:
        return "another way of calling modules"
    if _forward_hooks or _forward_pre_hooks or _backward_hooks or _backward_pre_hooks:
        return "hooks on all modules"
    if its["_forward_hooks"] or its["_forward_pre_hooks"] or its["_backward_hooks"] or its["_backward_pre_hooks"]:
        return "hooks on a product"
    return None
