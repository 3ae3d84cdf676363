"""Patching e3nn: one class gets a guarded forward; what else it needs of the class calls whatever the class would call."""

from __future__ import annotations

import warnings
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
        self._stock: dict[str, tuple[Any, Any]] = {}

    def patch(self) -> None:
        """Take the place of forward; idempotent. A forward that another library put there stays, with a warning."""
        cls = _tensor_product()
        author = getattr(cls.forward, "__module__", "") or ""
        if self._stock or author == "tpregistry_e3nn.forward":
            return
        if author.partition(".")[0] != "e3nn":
            warnings.warn(
                f"tpregistry: {author} has replaced TensorProduct.forward, which stays: call patch() before it", stacklevel=2
            )
            return
        from tpregistry_e3nn.forward import forward

        self._replace(cls, "forward", forward)
        self._replace(cls, "__getstate__", _without_bindings(cls))
        self._replace(cls, "_replicate_for_data_parallel", _with_bindings(cls))

    def unpatch(self) -> None:
        """Give the class back exactly what it had; modules keep nothing that matters. What others put over ours stays."""
        cls = _tensor_product()
        for name, (ours, stock) in self._stock.items():
            if cls.__dict__.get(name) is not ours:
                continue
            if stock is None:
                delattr(cls, name)
            else:
                setattr(cls, name, stock)
        self._stock.clear()

    def _replace(self, cls: Any, name: str, ours: Any) -> None:
        self._stock[name] = ours, cls.__dict__.get(name)
        setattr(cls, name, ours)

    def problems(self, module: Any) -> Iterator[tuple[Problem, Host]]:
        """Every problem in a module, each with the module's own code for it; those that cannot be read are left out."""
        from tpregistry.hosts import convolved
        from tpregistry.torch.binding import Unreadable
        from tpregistry.torch.layers import TensorProductConv
        from tpregistry_e3nn.host import host_of, problem_of

        in_sites = convolved(module)
        for child in module.modules():
            layer = isinstance(child, TensorProductConv)
            if layer or isinstance(child, _tensor_product()):
                product, convolves = child.tp if layer else child, layer or id(child) in in_sites
                try:
                    problem = problem_of(product)
                except Unreadable:
                    continue
                yield problem.convolution(NODES) if convolves else problem, host_of(product, convolves)

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


def _inherited(cls: Any, name: str) -> Callable[..., Any]:
    """The method that ``cls`` has, or inherits at the time of each call: programs patch its parents after us."""
    own = cls.__dict__.get(name)
    return own if own is not None else lambda self: getattr(super(cls, self), name)()


def _with_bindings(cls: Any) -> Callable[..., Any]:
    """DataParallel makes new replicas at every step; what they bind, and what was seen of them, stays with the module."""
    stock = _inherited(cls, "_replicate_for_data_parallel")

    def _replicate_for_data_parallel(self: Any) -> Any:
        from tpregistry_e3nn.forward import SLOT, bindings_of

        replica = stock(self)
        replica.__dict__[SLOT] = type(bindings_of(self))(of=bindings_of(self))
        return replica

    return _replicate_for_data_parallel


def _without_bindings(cls: Any) -> Callable[..., Any]:
    """A pickle or copy of a bound module is one of the host's: nothing of ours is in it."""
    stock = _inherited(cls, "__getstate__")

    def __getstate__(self: Any) -> Any:
        state = dict(stock(self))
        state.pop("_tpregistry", None)
        return state

    return __getstate__
