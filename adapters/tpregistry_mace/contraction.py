"""MACE's `SymmetricContraction` as a site: an operation of its own takes the place of its contractions."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch

from tpregistry import session
from tpregistry.errors import Unsupported
from tpregistry.frame import Host
from tpregistry.problem import Problem
from tpregistry.torch.binding import Bindings, Hook
from tpregistry.torch.ground import Ground, Unreadable
from tpregistry.torch.guard import left_to_host
from tpregistry.torch.sites import Site
from tpregistry_mace.describe import describe, fits, packed, tensors
from tpregistry_mace.ground import Contractions
from tpregistry_mace.host import ContractionCode, host_of

Tensor = torch.Tensor

MODULE = "mace.modules.symmetric_contraction"


class ContractionHook(Hook):
    """`symmetric_contraction` problems of MACE. What modules have bound lies apart from them: nothing of it is saved or copied."""

    def __init__(self) -> None:
        self._bindings: weakref.WeakKeyDictionary[Any, Bindings] = weakref.WeakKeyDictionary()

    def ground(self, module: Any) -> Ground:
        """See `ground.Contractions`."""
        return Contractions(module)

    def describe(self, module: Any, dtype: torch.dtype) -> Problem:
        """See `describe.describe`."""
        return describe(module, dtype)

    def host(self, module: Any, problem: Problem, device: str) -> Host:
        """See `host.host_of`."""
        return host_of(module)

    def own(self, module: Any) -> Callable[..., Tensor]:
        """MACE's graphs."""
        return ContractionCode(module)

    def bindings(self, module: Any) -> Bindings:
        """What the module has bound."""
        found = self._bindings.get(module)
        return self._bindings.setdefault(module, Bindings()) if found is None else found

    def _bind(self, module: Any, bindings: Bindings, ground: Ground, key: Any, x: Tensor, y: Tensor, w: Tensor) -> Any:
        try:
            return super()._bind(module, bindings, ground, key, x, y, w)
        except Unsupported:
            raise Unreadable("a contraction that the backend asked for does not do") from None


class Contraction(Site):
    """All contractions of a module at once."""

    target = f"{MODULE}:SymmetricContraction.forward"
    functions = (f"{MODULE}:Contraction",)
    digests = frozenset(["854bfaf3440095f6"])

    def __init__(self) -> None:
        super().__init__()
        self.hook = ContractionHook()

    def product(self, module: Any) -> Any:
        """None: there is no tensor product in it."""
        return None

    def more(self, module: Any) -> str | None:
        """None: what its kernels rest on says it (`Contractions`)."""
        return None

    def left(self, module: Any) -> str | None:
        """Contractions of a class of their own may compute anything."""
        kind = getattr(sys.modules[MODULE], "Contraction", None)
        return None if all(type(one) is kind for one in module.contractions) else "another class in place of a Contraction"

    def forward(self, module: Any, x: Tensor, y: Tensor) -> Tensor:
        """See `mace.modules.symmetric_contraction.SymmetricContraction.forward`."""

        def own() -> Tensor:
            return self.stock(module, x, y)

        w = _weights(module, x, y)
        if isinstance(w, str):
            session.made.left_to_host[f"contraction: {w}"] += 1
            return own()
        return self.hook.run(module, self.hook.bindings(module), len(x), 0, own, x.reshape(len(x), -1), y, w)


def _weights(module: Any, x: Tensor, y: Tensor) -> Tensor | str:
    """Those of a call, or why the host's own code has to run."""
    reason = left_to_host(x, y, y) or _unlike(module, x, y)
    if reason is not None:
        return reason
    w = packed(module)
    return left_to_host(x, y, w) or ("operands of different dtypes" if w.dtype != x.dtype else w)


def _unlike(module: Any, x: Tensor, y: Tensor) -> str | None:
    """Why these are no operands of the contraction, so that MACE computes or raises what it does."""
    if not (x.dtype == y.dtype and x.dtype in (torch.float32, torch.float64)):
        return "operands of other dtypes"
    if not (x.dim() == 3 and y.dim() == 2 and len(x) == len(y)) or not len(x):
        return "operands of other shapes"
    width = tensors(module.contractions[0])[0].shape[-2]
    return None if x.shape[2] == width and fits(module, y.shape[1], x.shape[1]) else "operands of other shapes"
