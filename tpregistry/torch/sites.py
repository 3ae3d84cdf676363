"""Sites: classes of model hosts that gather, multiply and sum by themselves, and do it by a fused convolution instead.

A site takes the place of the class's method. Nothing of it lies in a module: the convolution is bound with the product that
the module holds (`Hook.bindings`), which leaves no trace in pickles, copies and exports. Compilers are given the host's
method: torch.compile by a branch, TorchScript because it reads the source that `inspect` finds, through ``__wrapped__``.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import textwrap
import types
from collections.abc import Callable
from typing import Any

import torch

from tpregistry import session
from tpregistry.settings import override, process_settings
from tpregistry.torch.fusing import Fusing

Module = Any
Method = Callable[..., Any]


class Site:
    """One method of one class of a host.

    ``target`` is "module:Class.method"; ``functions`` are those, "module:name", that it calls and we skip; ``digests`` are of the
    sources of all of them (see `digest`), one for each version of the host that was read.
    """

    target: str
    functions: tuple[str, ...] = ()
    digests: frozenset[str]

    def __init__(self) -> None:
        self._fusing = Fusing()
        self._ours: Method | None = None
        self._stock: Any = None
        self._skipped: list[tuple[dict[str, Any], str, Any]] = []

    def product(self, module: Module) -> Module:
        """The tensor product that a module holds."""
        raise NotImplementedError

    def left(self, module: Module) -> str | None:
        """Why the host's own code has to run for this module, beside what holds for every site; or None."""
        return None

    def more(self, module: Module) -> str | None:
        """Why what is skipped would do more than compute, or None."""
        return self._fusing.skips_more(self.product(module))

    def stock(self, module: Module, *args: Any, **kwargs: Any) -> Any:
        """The host's own method."""
        assert self._ours is not None, "patched"
        return inspect.unwrap(self._ours)(module, *args, **kwargs)

    def forward(self, module: Module, *args: Any, **kwargs: Any) -> Any:
        """The host's method, line for line, but for what goes to `convolve`."""
        raise NotImplementedError

    def convolve(self, product: Module, own: Callable[[], Any], *operands: Any) -> Any:
        """See `Fusing.convolve`."""
        return self._fusing.convolve(product, own, *operands)

    @property
    def name(self) -> str:
        """As reasons name it."""
        return self.target.partition(":")[2]

    def patch(self) -> str | None:
        """Take the method's place; idempotent. Returns why it stays stock where its source is not one that we have read."""
        cls, method = self._place()
        stock = cls.__dict__.get(method)
        if stock is not None and stock is self._ours:
            return None
        if digest(stock, *map(_found, self.functions)) not in self.digests:
            return f"{self.target} stays stock: its code is not that of a version which tpregistry knows"
        self._skipped = [_where(path) for path in self.functions]
        self._stock, self._ours = stock, _guarded(stock, self._run)
        setattr(cls, method, self._ours)
        return None

    def unpatch(self) -> None:
        """Give the class its method back; what others put over ours stays."""
        cls, method = self._place()
        if self._ours is not None and cls.__dict__.get(method) is self._ours:
            setattr(cls, method, self._stock)
        self._ours = None

    def takes(self, module: Module) -> bool:
        """Whether the method of a module is this site's."""
        cls, method = self._place()
        return self._ours is not None and isinstance(module, cls) and getattr(type(module), method) is self._ours

    def _place(self) -> tuple[Any, str]:
        module, _, path = self.target.partition(":")
        *outer, method = path.split(".")
        return functools.reduce(getattr, outer, importlib.import_module(module)), method

    def _run(self, stock: Method, module: Module, *args: Any, **kwargs: Any) -> Any:
        """In the path of each call: our form of the method, or the host's where something that we would skip is not as it was."""
        if (override.get() or process_settings()).backend.off:
            return stock(module, *args, **kwargs)
        reason = self._reason(module)
        if reason is not None:
            session.made.left_to_host[f"{self.name}: {reason}"] += 1
            return stock(module, *args, **kwargs)
        return self.forward(module, *args, **kwargs)

    def _reason(self, module: Module) -> str | None:
        for names, name, function in self._skipped:
            if names.get(name) is not function:
                return f"another {name}"
        return self.left(module) or self.more(module)


def digest(*functions: Any) -> str:
    """Of the sources of functions; empty where one is not a function of Python, or is not in a file."""
    try:
        text = "\n".join(textwrap.dedent(inspect.getsource(function)) for function in functions)
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _where(path: str) -> tuple[dict[str, Any], str, Any]:
    """The names of a module, one of them, and what it means now."""
    module, _, name = path.partition(":")
    names = vars(importlib.import_module(module))
    return names, name, names.get(name)


def _found(path: str) -> Any:
    return _where(path)[2]


def _guarded(stock: Any, run: Method) -> Method:
    """A method that runs ``run(stock, ...)``, and to compilers is ``stock``.

    It has no global names of its own: TorchScript resolves those of the source that it reads, the host's, in ours.
    """
    _tp_stock, _tp_run, _tp_compiling = stock, run, torch.compiler.is_compiling

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _tp_compiling():
            return _tp_stock(self, *args, **kwargs)
        return _tp_run(_tp_stock, self, *args, **kwargs)

    ours = types.FunctionType(method.__code__, stock.__globals__, stock.__name__, None, method.__closure__)
    return functools.update_wrapper(ours, stock)
