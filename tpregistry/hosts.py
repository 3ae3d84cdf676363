"""Adapters of hosts, found by entry points: the name of each is the module whose import it waits for."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from tpregistry import discovery, report
from tpregistry.errors import TPError
from tpregistry.problem import OWN_OPERATIONS, Problem
from tpregistry.settings import process_settings

if TYPE_CHECKING:
    from tpregistry.frame import Host


@cache
def adapter(name: str) -> Any:
    """The adapter that waits for a module, loaded once."""
    report.arrange(process_settings())
    return discovery.load_named(discovery.ADAPTERS, name, process_settings().plugins)()


def adapters() -> list[str]:
    """Names of the modules that installed adapters wait for, of those that TP_PLUGINS allows."""
    return [point.name for point in discovery.entry_points(discovery.ADAPTERS, process_settings().plugins)]


def accelerated() -> list[str]:
    """Of these modules those whose hosts TP_ADAPTERS leaves to us; the adapters of others are not imported to patch anything."""
    names, allowed = adapters(), process_settings().adapters
    for word in mistaken(allowed, names):
        warnings.warn(f"tpregistry: TP_ADAPTERS={','.join(allowed)}: {word}", stacklevel=2)
    return [name for name in names if discovery.is_allowed(host_of(name), allowed)]


def host_of(module: str) -> str:
    """The name by which a person knows the host of a module."""
    return module.partition(".")[0]


def mistaken(allowed: tuple[str, ...], names: list[str]) -> list[str]:
    """What is wrong with names in TP_ADAPTERS that no adapter has."""
    known = sorted(set(map(host_of, names)))
    words = (word.removeprefix("!") for word in allowed)
    return [f"there is no adapter for {word!r}; there are those for {', '.join(known)}" for word in words if word not in known]


def first_present() -> Any:
    """The adapter of the first host that is installed. Raises TPError where there is none."""
    return next(_present())


def adapter_for(*frameworks: str) -> Any:
    """The adapter of the first host of one of these frameworks. Raises TPError where there is none."""
    found = next((one for one in _present() if one.framework in frameworks), None)
    if found is None:
        raise TPError(f"no host for {' or '.join(frameworks)} is installed; adapters wait for {', '.join(adapters())}")
    return found


def convolved(module: Any) -> set[int]:
    """Identities of the products in a torch module that model hosts' own classes convolve by, where those are patched."""
    sites = [adapter(name) for name in accelerated() if name in sys.modules]
    products = (one.product(child) for one in sites if hasattr(one, "product") for child in module.modules())
    return {id(product) for product in products if product is not None}


def host_for(problem: Problem, framework: str, device: str) -> Host:
    """What a problem that comes without a module or call is checked against: a host's code, or the definition of its operation.

    Raises TPError where no host is installed, Unsupported where it cannot do the problem.
    """
    if problem.operation in OWN_OPERATIONS or problem.contracts:
        from tpregistry.definition import definition

        return definition(problem, device, framework)
    return adapter_for(framework).host(problem, device)


def _present() -> Iterator[Any]:
    """Of installed hosts of products, one after the other: what comes after the one that is sought is not imported."""
    names = adapters()
    present = [name for name in names if name in sys.modules or discovery.installed_version(host_of(name))]
    found = (one for one in map(adapter, present) if one.framework)
    first = next(found, None)
    if first is None:
        raise TPError(f"no host is installed; adapters wait for {', '.join(names) or 'nothing'}")
    yield first
    yield from found
