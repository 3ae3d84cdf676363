"""Patching e3nn: one class gets a guarded forward, and forgets its bindings whenever what they rest on may change."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from tpregistry.errors import Unsupported
from tpregistry.frame import Host
from tpregistry.problem import Problem

NODES = 64
"""Receivers of a convolution that is tuned before it has seen a graph: 16 neighbours each, for the usual 1024 edges."""

TESTED = ("0.4.4", "0.6")
BEYOND = "TorchScript and compiled models, and those of torch.package (NequIP's .nequip.zip), bring their own copy of e3nn"
"""What a patched class does not reach; `tpregistry doctor` says it."""


class Adapter:
    """Accelerates `e3nn.o3.TensorProduct` and every class derived from it."""

    framework = "torch"

    def __init__(self) -> None:
        self._stock: dict[str, Any] = {}

    def patch(self) -> None:
        """Take the place of forward; idempotent."""
        cls = _tensor_product()
        if self._stock or getattr(cls.forward, "__module__", "") == "tpregistry_e3nn.forward":
            return
        from tpregistry_e3nn.forward import forward

        self._replace(cls, "forward", forward)
        self._replace(cls, "__getstate__", _without_bindings(cls.__getstate__))
        self._replace(cls, "_replicate_for_data_parallel", _with_bindings(cls._replicate_for_data_parallel))
        for name in ("_apply", "_load_from_state_dict", "__setstate__"):
            self._replace(cls, name, _forgetting(getattr(cls, name)))

    def unpatch(self) -> None:
        """Give the class back exactly what it had; modules keep nothing that matters."""
        cls = _tensor_product()
        for name, value in self._stock.items():
            if value is None:
                delattr(cls, name)
            else:
                setattr(cls, name, value)
        self._stock.clear()

    def _replace(self, cls: Any, name: str, value: Any) -> None:
        self._stock[name] = cls.__dict__.get(name)
        setattr(cls, name, value)

    def problems(self, module: Any) -> Iterator[tuple[Problem, Host]]:
        """Every problem in a module, each with the module's own code for it; those that cannot be read are left out."""
        from tpregistry.torch.binding import Unreadable
        from tpregistry.torch.layers import TensorProductConv
        from tpregistry_e3nn.host import host_of, problem_of

        for child in module.modules():
            convolves = isinstance(child, TensorProductConv)
            if convolves or isinstance(child, _tensor_product()):
                try:
                    problem = problem_of(child.tp if convolves else child)
                except Unreadable:
                    continue
                form = problem.convolution(NODES) if convolves else problem
                yield form, host_of(child.tp if convolves else child, convolves)

    def hook(self, module: Any) -> Any:
        """How a module of this host is accelerated. Raises TypeError for any other."""
        from tpregistry_e3nn.forward import HOOK

        if not isinstance(module, _tensor_product()):
            raise TypeError(f"a {type(module).__name__} is no e3nn TensorProduct")
        return HOOK

    def host(self, problem: Problem, device: str) -> Host:
        """e3nn's code for a problem that comes without a module. Raises Unsupported where e3nn has no such module."""
        from tpregistry_e3nn import NAME, E3nn
        from tpregistry_e3nn.host import kernel_for

        verdict = E3nn().supports(problem, device)
        if not verdict.ok:
            raise Unsupported(f"{NAME} has no module for {problem}, so there is nothing to check against", verdict.reasons)
        return Host(NAME, kernel_for(problem, device), lambda: kernel_for(problem.at(dtype="float64"), device))


def _tensor_product() -> Any:
    from e3nn.o3._tensor_product._tensor_product import TensorProduct

    return TensorProduct


def _forgetting(stock: Callable[..., Any]) -> Callable[..., Any]:
    """`.to`, `.double`, loading a state or a pickle: buffers may change, so every binding goes."""

    @functools.wraps(stock)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.__dict__.pop("_tpregistry", None)
        return stock(self, *args, **kwargs)

    return method


def _with_bindings(stock: Callable[..., Any]) -> Callable[..., Any]:
    """DataParallel makes new replicas at every step; what they bind, and what was seen of them, stays with the module."""

    @functools.wraps(stock)
    def method(self: Any) -> Any:
        from tpregistry_e3nn.forward import bindings_of

        bindings_of(self)
        return stock(self)

    return method


def _without_bindings(stock: Callable[..., Any]) -> Callable[..., Any]:
    """A pickle or copy of a bound module is one of the host's: nothing of ours is in it."""

    @functools.wraps(stock)
    def method(self: Any) -> Any:
        state = dict(stock(self))
        state.pop("_tpregistry", None)
        return state

    return method
