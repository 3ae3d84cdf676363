"""What the kernels of a module rest on: the code that its host generated, and the numbers in it. Whether it is still so.

A kernel computes what a module's own code computed when it was described. A program may change that code later: load other
numbers into its buffers, put others in their place, hook it, wrap it. So each call looks, cheaply: the same objects, no hooks,
and buffers that nobody wrote to, by the counters that torch keeps for autograd. What torch does not count, writes through
``.data`` or NumPy, is not seen; `torch.autograd.graph.increment_version` tells of them.
"""

from __future__ import annotations

from operator import attrgetter, is_
from typing import Any

import torch
from torch.jit._script import RecursiveScriptModule
from torch.nn.modules import module as torch_module

from tpregistry.errors import TPError

Tensor = torch.Tensor
Module = torch.nn.Module

_CALL, _CALL_IMPL = Module.__call__, Module._call_impl
_forward_hooks, _forward_pre_hooks = torch_module._global_forward_hooks, torch_module._global_forward_pre_hooks
_backward_hooks, _backward_pre_hooks = torch_module._global_backward_hooks, torch_module._global_backward_pre_hooks
_version = attrgetter("_version")

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
KEPT = 8
"""States of one module whose kernels are kept: one that goes to and fro between two need not be bound anew each time."""


class Unreadable(TPError):
    """A module whose function is not one that a problem can describe; its host's code runs."""


class Kept:
    """What is known of one state of a module: its problem, or why it has none, and the kernels bound for regimes.

    ``code`` is held so that no other gets its identity, which is part of the state.
    """

    __slots__ = ("bound", "code", "problem")

    def __init__(self, code: Any = None) -> None:
        self.bound: dict[Any, Any] = {}
        self.code = code
        self.problem: Any = None


class Ground:
    """What the kernels of a module without generated code rest on: nothing that can change."""

    dtype: torch.dtype | None = None
    device: torch.device | None = None
    state: Any = ()
    """Code, dtype, device and numbers of the buffers, hashable: equal states compute the same."""

    def __init__(self) -> None:
        self.kept = Kept()

    def holds(self, module: Any) -> bool:
        """Whether the module still computes what it computed when this was made. In the path of every call."""
        return True


class Generated(Ground):
    """The generated code of a module, a submodule of that ``name``: an fx GraphModule or TorchScript, with buffers of its own.

    Raises Unreadable, with the reason, for anything else, and where torch would do more than run that code.
    """

    def __init__(self, module: Any, name: str) -> None:
        main = getattr(module, name)
        reason = more_than_code(main)
        if reason:
            raise Unreadable(reason)
        self._name, self._main, self._forward = name, main, _forward_of(main)
        buffers = dict(main._buffers.items())
        self._names = list(buffers) if isinstance(main, torch.jit.ScriptModule) else None
        self._tensors = list(buffers.values())
        self.dtype, self.device = common(self._tensors)
        self._counted = not any(tensor.is_inference() for tensor in self._tensors)
        self._versions = list(map(_version, self._tensors)) if self._counted else None
        code = main._c._type() if self._names is not None else type(main).forward.__code__
        self.kept = Kept(code)
        self.state = id(code) if self._names is not None else code, self.dtype, self.device, numbers(self._tensors)

    def holds(self, module: Any) -> bool:
        """See `Ground.holds`. Buffers made in inference mode have no counters: their numbers are compared."""
        own = module.__dict__
        main = own["_modules"].get(self._name)
        if main is not self._main or self._name in own or Module.__call__ is not _CALL or Module._call_impl is not _CALL_IMPL:
            return False
        if _forward_hooks or _forward_pre_hooks or _backward_hooks or _backward_pre_hooks:
            return False
        its = main.__dict__
        if its["_forward_hooks"] or its["_forward_pre_hooks"] or its["_backward_hooks"] or its["_backward_pre_hooks"]:
            return False
        tensors = self._tensors
        if self._names is None:
            buffers = its["_buffers"]
            if "forward" in its or type(main).forward is not self._forward or len(buffers) < len(tensors):
                return False
            now = buffers.values()
        else:
            if its.get("forward") is not self._forward:
                return False
            now = map(  # in C++, where walking Python's wrappers would cost several times this
                its["_c"].getattr, self._names
            )
        if not tensors:
            return True
        if not all(map(is_, tensors, now)):
            return False
        return [*map(_version, tensors)] == self._versions if self._counted else self._numbers_hold()

    def _numbers_hold(self) -> bool:
        try:
            return self.state[-1] == numbers(self._tensors)
        except Unreadable:
            return False


def more_than_code(main: Any) -> str:
    """Why a call of this would not just run code that a host generated, or nothing."""
    graph = isinstance(main, torch.fx.GraphModule) and type(main).__bases__ == (torch.fx.GraphModule,)
    if not (graph or type(main) is RecursiveScriptModule):
        return f"a {type(main).__name__} in place of the generated code"
    if Module.__call__ is not _CALL or Module._call_impl is not _CALL_IMPL or torch_module._has_any_global_hook():
        return "hooks on all modules"
    if any(getattr(main, hooks) for hooks in HOOKS):
        return "hooks on the generated code"
    if graph and "forward" in main.__dict__:
        return "another forward in the generated code"
    if not graph and not isinstance(main.forward, torch._C.ScriptMethod):
        return "another forward in the generated code"
    return "modules in the generated code" if len(main._modules) else ""


def _forward_of(main: Any) -> Any:
    """What runs when it is called: a function of its class, or a method of TorchScript that it keeps."""
    return main.__dict__.get("forward") or type(main).forward


def common(tensors: list[Tensor]) -> tuple[torch.dtype | None, torch.device | None]:
    """Dtype of all buffers of real numbers, there may be indices too, and device of all; None where there are none."""
    if any(type(tensor) is not Tensor or tensor.is_meta for tensor in tensors):
        raise Unreadable("buffers that are no plain tensors")
    if any(tensor.requires_grad for tensor in tensors):
        raise Unreadable("buffers that want gradients")
    dtypes = {tensor.dtype for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()}
    devices = {tensor.device for tensor in tensors}
    if len(dtypes) > 1 or len(devices) > 1:
        raise Unreadable("buffers of several dtypes or devices")
    return (dtypes.pop() if dtypes else None), (devices.pop() if devices else None)


def numbers(tensors: list[Tensor]) -> Any:
    """Shapes, dtypes and bytes. On a GPU that waits for the device, which the capture of a graph forbids."""
    if tensors and tensors[0].is_cuda and torch.cuda.is_current_stream_capturing():
        raise Unreadable("buffers to look at while a CUDA graph is captured")
    kinds = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
    alike = ([t.detach().reshape(-1) for t in tensors if t.dtype == dtype] for dtype in dict.fromkeys(dtype for _, dtype in kinds))
    return kinds, *(torch.cat(flat).cpu().view(torch.uint8).numpy().tobytes() for flat in alike)
