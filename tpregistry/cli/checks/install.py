"""What is installed: Python, frameworks, hosts, backends. Versions come from metadata; nothing heavy is imported."""

from __future__ import annotations

import platform
import sys

from tpregistry import __version__, discovery
from tpregistry.bootstrap import FRAMEWORKS
from tpregistry.cli.checks.check import Check
from tpregistry.discovery import ADAPTERS, Plugin, entry_points, installed_version
from tpregistry.hosts import mistaken
from tpregistry.settings import Settings

BACKENDS = "Backends"


def python_checks() -> list[Check]:
    """Interpreter, platform and our own version."""
    return [
        Check("Python", "ok", f"Python {platform.python_version()} at {sys.executable}"),
        Check("Python", "ok", f"{platform.system()} {platform.release()} on {platform.machine()}"),
        Check("Python", "ok", f"tpregistry {__version__} at {discovery.__file__.rpartition('/')[0]}"),
    ]


def framework_checks() -> list[Check]:
    """At least one framework must be there."""
    found = {name: installed_version(name) for name in FRAMEWORKS}
    if not any(found.values()):
        return [Check("Frameworks", "fail", f"none of {', '.join(FRAMEWORKS)} is installed", "pip install torch")]
    present = [Check("Frameworks", "ok", f"{name} {version}") for name, version in found.items() if version]
    return present + [Check("Frameworks", "ok", f"{name} is not installed") for name, version in found.items() if not version]


def host_checks(settings: Settings) -> list[Check]:
    """Every host that an adapter waits for: is it installed, in a version that the adapter was tested with?"""
    points = entry_points(ADAPTERS, settings.plugins)
    checks = list(dict.fromkeys(check for point in points for check in _checks_of_host(point.name, settings)))
    checks += [Check("Hosts", "warn", f"TP_ADAPTERS: {word}") for word in mistaken(settings.adapters, [p.name for p in points])]
    if not any(installed_version(point.name.split(".")[0]) for point in points):
        names = ", ".join(sorted({point.name.split(".")[0] for point in points})) or "no adapter is installed"
        checks.append(Check("Hosts", "warn", f"no host is installed, so there is nothing to accelerate (known: {names})"))
    return checks


def _checks_of_host(name: str, settings: Settings) -> list[Check]:
    host = name.split(".")[0]
    version = installed_version(host)
    if version is None:
        return [Check("Hosts", "ok", f"{host} is not installed")]
    if not discovery.is_allowed(host, settings.adapters):
        return [Check("Hosts", "ok", f"{host} {version} stays stock: TP_ADAPTERS leaves it out")]
    try:
        module = sys.modules[discovery.load_named(ADAPTERS, name, settings.plugins).__module__]
    except Exception as error:  # a plugin may raise anything
        text = f"the adapter of {host} does not import ({type(error).__name__}: {error})"
        return [Check("Hosts", "fail", text, "reinstall it")]
    beyond = getattr(module, "BEYOND", "")
    stock = [Check("Hosts", "ok", f"stock in any case: {beyond}")] if beyond else []
    return [_version_check(host, version, getattr(module, "TESTED", ())), *stock]


def _version_check(host: str, version: str, tested: tuple[str, ...]) -> Check:
    if any(version == known or version.startswith(f"{known}.") for known in tested):
        return Check("Hosts", "ok", f"{host} {version}, a tested version")
    cure = "results are still checked before use; if a layer stays stock, install a tested version"
    return Check("Hosts", "warn", f"{host} {version} is not among the tested versions ({', '.join(tested)})", cure)


def backend_checks(settings: Settings) -> list[Check]:
    """Ready backends in one line; broken ones a line each. An optional library that is missing is no fault."""
    plugins = list(discovery.backends(settings).values())
    ready = [plugin.name for plugin in plugins if not plugin.trouble and not (plugin.face and plugin.face.host)]
    first = Check(BACKENDS, "ok", f"ready: {', '.join(ready)}") if ready else _nothing_ready(settings)
    return [first, *(_trouble(plugin) for plugin in plugins if plugin.trouble)]


def _nothing_ready(settings: Settings) -> Check:
    cure = "let TP_PLUGINS name a backend" if settings.plugins else "see `tpregistry list`"
    return Check(BACKENDS, "warn", "no backend but the hosts' own code can be used", cure)


def _trouble(plugin: Plugin) -> Check:
    optional = all(reason.code in ("TP150", "TP160") for reason in plugin.trouble)
    text = "; ".join(f"{reason.code} {reason.message}" for reason in plugin.trouble)
    cure = "; ".join(dict.fromkeys(reason.hint for reason in plugin.trouble if reason.hint))
    return Check(BACKENDS, "ok" if optional else "warn", f"{plugin.name}: {text}", cure)
