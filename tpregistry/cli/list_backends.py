"""``tpregistry list``: every backend and every host, seen through light faces and metadata only."""

from __future__ import annotations

import warnings
from importlib.metadata import EntryPoint
from typing import Any

from tpregistry import __version__
from tpregistry.backend import Reason
from tpregistry.cli import output
from tpregistry.cli.output import Cell, JsonFlag
from tpregistry.discovery import ADAPTERS, Plugin, backends, entry_points, installed_version
from tpregistry.errors import SettingError
from tpregistry.settings import Settings, process_settings

SCHEMA = "tpregistry.list/1"
STATUS = {"TP150": "not allowed", "TP151": "duplicate", "TP152": "broken", "TP160": "missing"}


def list_backends(json: JsonFlag = False) -> None:
    """List the backends and hosts that are installed, and why some cannot be used.

    \b
    Exit code: 0, also where plugins are broken.
    """
    data = {
        "tpregistry": __version__,
        "backends": [describe(plugin) for plugin in backends(lenient_settings()).values()],
        "adapters": [describe_adapter(point) for point in entry_points(ADAPTERS)],
    }
    if json:
        return output.print_json(SCHEMA, data)
    _print_backends(data["backends"])
    _print_adapters(data["adapters"])


def lenient_settings() -> Settings:
    """Those in force, or the defaults where a value is bad: commands that say what is wrong must not stop at it."""
    try:
        return process_settings()
    except SettingError as error:
        warnings.warn(f"tpregistry: {error}; default settings are taken here", stacklevel=2)
        return Settings()


def status(plugin: Plugin) -> str:
    """One or two words for the state of a backend."""
    if plugin.trouble:
        return STATUS.get(plugin.trouble[0].code, "broken")
    return "host" if plugin.face and plugin.face.host else "ready"


def describe(plugin: Plugin) -> dict[str, Any]:
    """A backend as --json shows it; what its face would say is null where it could not be asked."""
    face = plugin.face
    said = {name: getattr(face, name, None) for name in ("summary", "frameworks", "operations", "requires", "licence", "host")}
    known = {"name": plugin.name, "family": plugin.family, "distribution": plugin.distribution, "version": plugin.version}
    return known | said | {"status": status(plugin), "reasons": [as_json(reason) for reason in plugin.trouble]}


def as_json(reason: Reason) -> dict[str, str]:
    """A reason with its parts apart."""
    return {"code": reason.code, "message": reason.message, "hint": reason.hint}


def describe_adapter(point: EntryPoint) -> dict[str, Any]:
    """An adapter as --json shows it: the module that it waits for, and the host's version where it is installed."""
    host = point.name.split(".")[0]
    brought = {"distribution": point.dist.name, "version": point.dist.version} if point.dist else {}
    return {"host": host, "host_version": installed_version(host), "module": point.name, **brought}


def _print_backends(found: list[dict[str, Any]]) -> None:
    output.print_heading("Backends")
    if not found:
        output.print_line("  none: reinstall tpregistry")
        return
    header = ("name", "family", "status", "frameworks", "licence", "from")
    output.print_rows([_row(backend) for backend in found], header)
    for backend in found:
        for reason in backend["reasons"]:
            cure = f": {reason['hint']}" if reason["hint"] else ""
            output.print_line(Cell(f"  {reason['code']} ", output.CAREFUL), reason["message"], Cell(cure, output.QUIET))


def _row(backend: dict[str, Any]) -> list[Cell | str]:
    shade = {"ready": output.GOOD, "host": output.GOOD, "not allowed": output.QUIET}.get(backend["status"], output.CAREFUL)
    frameworks = ", ".join(backend["frameworks"] or ("?",))
    origin = f"{backend['distribution']} {backend['version']}"
    name = Cell(backend["name"], output.STRONG)
    return [name, backend["family"], Cell(backend["status"], shade), frameworks, backend["licence"] or "?", origin]


def _print_adapters(found: list[dict[str, Any]]) -> None:
    output.print_heading("Hosts")
    rows = []
    for adapter in found:
        version = adapter["host_version"]
        state = Cell(version, output.GOOD) if version else Cell("not installed", output.QUIET)
        rows.append([Cell(adapter["host"], output.STRONG), state, f"patched when {adapter['module']} is imported"])
    output.print_rows(rows) if rows else output.print_line("  none: no adapter is installed")
