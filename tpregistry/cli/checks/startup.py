"""Does TP_BACKEND take effect in an unmodified program? Only if Python's `site` reads our start-up file."""

from __future__ import annotations

import site
import sys
from collections.abc import Mapping
from pathlib import Path

from tpregistry import bootstrap
from tpregistry.cli.checks.check import Check
from tpregistry.settings import Settings

AREA = "Start-up hook"
OTHERWISE = "or `import tpregistry.auto` at the top of the program"


def startup_checks(environ: Mapping[str, str], settings: Settings) -> list[Check]:
    """Where the start-up file is, whether it is read, and whether it does anything now."""
    file = file_check(file_name(sys.version_info[:2]), site_folders(), [Path(entry) for entry in sys.path if entry])
    asked = environ.get("TP_BACKEND", "off") not in ("", "off")
    return [file, _effect(asked, environ, settings, readable=file.state == "ok")]


def file_name(version: tuple[int, int]) -> str:
    """The start-up file that a Python version reads (PEP 829 from 3.15)."""
    return "tpregistry_startup.start" if version >= (3, 15) else "tpregistry_startup.pth"


def site_folders() -> list[Path]:
    """Folders whose start-up files `site` reads; none under ``python -S``."""
    if sys.flags.no_site:
        return []
    own = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [Path(folder) for folder in (*site.getsitepackages(), *own)]


def file_check(name: str, read: list[Path], path: list[Path]) -> Check:
    """Whether the start-up file is in a folder that is read, or only in one of ``path``, or nowhere."""
    for folder in read:
        if (folder / name).is_file():
            return Check(AREA, "ok", f"{folder / name} is in place")
    if sys.flags.no_site:
        return Check(AREA, "warn", "python -S switches `site` off, so no start-up file is read", f"run without -S, {OTHERWISE}")
    for folder in path:
        if (folder / name).is_file():
            text = f"{folder / name} is not read: a folder of PYTHONPATH or pip --target is not a site folder"
            return Check(AREA, "warn", text, f"install into a site-packages folder, {OTHERWISE}")
    return Check(AREA, "warn", f"{name} is in no site-packages folder", f"reinstall tpregistry with pip, {OTHERWISE}")


def _effect(asked: bool, environ: Mapping[str, str], settings: Settings, *, readable: bool) -> Check:
    """This very process started in the same environment: whether the finder is in place here is the truth."""
    if asked and bootstrap.installed():
        return Check(AREA, "ok", f"active: TP_BACKEND={environ['TP_BACKEND']} takes effect in every program started here")
    if asked and readable:
        return Check(
            AREA, "warn", "the start-up file did not run in this process", f"look for errors at Python's start, {OTHERWISE}"
        )
    if asked:
        return Check(AREA, "warn", "TP_BACKEND is set, but has no effect in unmodified programs", OTHERWISE.removeprefix("or "))
    if settings.sources.get("backend") == "pyproject.toml":
        text = f"pyproject.toml sets backend={settings.backend.text!r}, but the hook starts only where the variable is set"
        return Check(AREA, "warn", text, f"set TP_BACKEND={settings.backend.text}, {OTHERWISE}")
    why = "TP_BACKEND is off" if environ.get("TP_BACKEND") == "off" else "TP_BACKEND is not set"
    cure = "set TP_BACKEND=auto before Python starts; in a running notebook it is too late without `import tpregistry.auto`"
    return Check(AREA, "ok", f"not active: {why}", cure)
