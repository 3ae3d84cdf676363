"""What kernels of a `SymmetricContraction` rest on: its coefficients, and that nothing but MACE's own code would run in it."""

from __future__ import annotations

import hashlib
from operator import attrgetter
from typing import Any

import torch

from tpregistry.torch.ground import HOOKS, Ground, Kept, Unreadable, common, more_than_code, numbers
from tpregistry.torch.sites import digest
from tpregistry.torch.skipped import more

_version = attrgetter("_version")

DIGESTS = frozenset(["ec7515a4421b4e65"])
"""Of the methods of `Contraction` that are skipped, see `tpregistry.torch.sites.digest`."""


class Contractions(Ground):
    """The contractions of a module, their graphs and buffers. Raises Unreadable where torch would do more than run these."""

    def __init__(self, module: Any) -> None:
        self._called = list(module.contractions)
        self._kind = type(self._called[0])
        self._methods = self._kind.forward, self._kind.U_tensors
        if digest(*self._methods) not in DIGESTS:
            raise Unreadable("a Contraction whose code is not that of a version which tpregistry knows")
        self._graphs = [one for one in module.contractions.modules() if isinstance(one, torch.fx.GraphModule)]
        self._forwards = [type(one).forward for one in (*self._called, *self._graphs)]
        parts = [module, *module.contractions.modules()]
        self._members = [(part._modules, dict(part._modules)) for part in parts]
        self._buffers = [(one._buffers, name, one._buffers[name]) for one in parts for name in one._buffers if _is_read(name)]
        self._plain = [(one.__dict__, one.__dict__.get("correlation")) for one in module.contractions]
        tensors = [tensor for _, _, tensor in self._buffers]
        reason = self._more() or next(filter(None, map(more_than_code, self._graphs)), None)
        if reason:
            raise Unreadable(reason)
        if any(tensor.is_inference() for tensor in tensors):
            raise Unreadable("coefficients made in inference mode, of which nobody knows whether they change")
        self.dtype, self.device = common(tensors)
        self._versions = list(map(_version, tensors))
        codes = tuple(forward.__code__ for forward in self._forwards)
        kinds, *contents = numbers(tensors)
        content = hashlib.sha256(b"".join(contents)).hexdigest()
        self.kept = Kept(codes)
        self.state = codes, self.dtype, self.device, kinds, content

    def holds(self, module: Any) -> bool:
        """See `Ground.holds`."""
        if (self._kind.forward, self._kind.U_tensors) != self._methods:
            return False
        if any(now != then for now, then in self._members) or self._more() is not None:
            return False
        if any(its.get("correlation") != value or "U_tensors" in its for its, value in self._plain):
            return False
        return all(buffers.get(name) is tensor for buffers, name, tensor in self._buffers) and self._versions == [
            tensor._version for _, _, tensor in self._buffers
        ]

    def _more(self) -> str | None:
        """Why a contraction or a graph would do more than run its forward; graphs have a way of their own of being called."""
        for one, forward in zip(self._called, self._forwards, strict=False):
            reason = more(one, forward)
            if reason is not None:
                return reason
        for graph, forward in zip(self._graphs, self._forwards[len(self._called) :], strict=True):
            its = graph.__dict__
            if type(graph).forward is not forward or "forward" in its or any(its[hooks] for hooks in HOOKS):
                return "another forward of a graph, or hooks on it"
        return None


def _is_read(buffer: str) -> bool:
    return buffer.startswith("U_matrix_")
