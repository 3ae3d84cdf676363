"""Adapters of model hosts: classes that do by themselves what we have faster, each a site (`tpregistry.torch.sites`)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tpregistry import session
from tpregistry.lazy import lazy


class ModelHost:
    """The adapter of a model host, made of its sites, "module:Class" each: they import torch, this does not.

    It describes no products, so it is no host of theirs.
    """

    framework = ""

    def __init__(self, *sites: str) -> None:
        self._names = sites

    @lazy
    def sites(self) -> tuple[Any, ...]:
        """One of each."""
        return tuple(getattr(import_module(module), name)() for module, name in (path.split(":") for path in self._names))

    def patch(self) -> None:
        """Take the place of all methods that are known; the others are listed in `decisions().out_of_reach`."""
        for told in filter(None, [site.patch() for site in self.sites]):
            if told not in session.made.out_of_reach:
                session.made.out_of_reach.append(told)

    def unpatch(self) -> None:
        """Give all methods back."""
        for site in self.sites:
            site.unpatch()

    def product(self, module: Any) -> Any:
        """The product that a module of the host convolves by, or None."""
        return next((site.product(module) for site in self.sites if site.takes(module)), None)
