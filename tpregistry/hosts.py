"""Adapters of hosts, found by entry points: the name of each is the module whose import it waits for."""

from __future__ import annotations

import sys
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


def first_present() -> Any:
    """The adapter of the first host that is installed. Raises TPError where there is none."""
    return _present()[0]


def adapter_for(*frameworks: str) -> Any:
    """The adapter of the first host of one of these frameworks. Raises TPError where there is none."""
    found = [one for one in _present() if one.framework in frameworks]
    if not found:
        raise TPError(f"no host for {' or '.join(frameworks)} is installed; adapters wait for {', '.join(adapters())}")
    return found[0]


def host_for(problem: Problem, framework: str, device: str) -> Host:
    """What a problem that comes without a module or call is checked against: a host's code, or the definition of its operation.

    Raises TPError where no host is installed, Unsupported where it cannot do the problem.
    """
    if problem.operation in OWN_OPERATIONS:
        from tpregistry.definition import definition

        return definition(problem, device, framework)
    return adapter_for(framework).host(problem, device)


def _present() -> list[Any]:
    names = adapters()
    present = [name for name in names if name in sys.modules or discovery.installed_version(name.split(".")[0])]
    if not present:
        raise TPError(f"no host is installed; adapters wait for {', '.join(names) or 'nothing'}")
    return [adapter(name) for name in present]
