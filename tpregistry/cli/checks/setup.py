"""Settings: every value with its source, what is shadowed, what means nothing, and names that look like typos."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tpregistry import discovery
from tpregistry.cli.checks.check import Check
from tpregistry.errors import SettingError, UnknownBackend
from tpregistry.settings import VARIABLES, Settings, project_table, resolve, warn_about_typos

AREA = "Settings"


@dataclass(frozen=True)
class Read:
    """Settings as far as they mean something, and everything that does not."""

    settings: Settings
    errors: tuple[str, ...]
    typos: tuple[str, ...]
    remarks: tuple[str, ...]


def read(environ: Mapping[str, str], folder: Path | None = None) -> Read:
    """Settle the settings as a program would, but leave out what is bad instead of stopping at it."""
    errors, good = [], {}
    for variable in VARIABLES.values():
        if variable in environ:
            problem = _error({variable: environ[variable]}, {})
            errors += [problem] if problem else []
            good |= {} if problem else {variable: environ[variable]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table, fault = _project(folder or Path.cwd())
        remarks = tuple(str(warning.message).removeprefix("tpregistry: ") for warning in caught)
        typos = tuple(warn_about_typos(environ))
    return Read(resolve({}, good, table), (*errors, *fault), typos, remarks)


def _project(folder: Path) -> tuple[dict[str, object], tuple[str, ...]]:
    try:
        table = project_table(folder)
    except SettingError as error:
        return {}, (str(error),)
    bad = {key: error for key, value in table.items() if (error := _error({}, {key: value}))}
    return {key: value for key, value in table.items() if key not in bad}, tuple(bad.values())


def _error(environ: Mapping[str, str], table: Mapping[str, object]) -> str:
    try:
        resolve({}, environ, table)
    except SettingError as error:
        return str(error)
    return ""


def setting_checks(found: Read) -> list[Check]:
    """Values, then faults."""
    values = values_of(found.settings)
    width = max(len(variable) for variable, _, _ in values)
    checks = [
        Check(AREA, "ok", f"{variable:<{width}}  {value}  ({_source(variable, source)})") for variable, value, source in values
    ]
    checks += [Check(AREA, "ok", f"shadowed: {text}") for text in found.settings.shadowed]
    checks += [Check(AREA, "fail", error) for error in found.errors]
    checks += [Check(AREA, "warn", remark) for remark in found.remarks]
    return checks + [Check(AREA, "warn", typo, "rename or unset it") for typo in found.typos]


def _source(variable: str, source: str) -> str:
    unset = variable == VARIABLES["backend"] and source == "default"
    return "unset: programs run stock, layers of tpregistry choose so" if unset else source


def values_of(settings: Settings) -> list[tuple[str, str, str]]:
    """Variable, value and source of every setting."""
    return [(variable, value_text(settings, name), settings.sources.get(name, "default")) for name, variable in VARIABLES.items()]


def value_text(settings: Settings, name: str) -> str:
    """A setting as one would write it; what stands for an absent one in words."""
    absent = {"cache_dir": "the platform's cache folder", "plugins": "all", "adapters": "all", "report": "none"}
    value = getattr(settings, name)
    if value in (None, ()):
        return absent[name]
    if isinstance(value, tuple):
        return ", ".join(value)
    texts = {"backend": settings.backend.text, "budget": f"{settings.budget:g} s"}
    return texts.get(name, str(value))


def request_checks(settings: Settings) -> list[Check]:
    """Whether TP_BACKEND names backends that are there, and leaves one."""
    try:
        discovery.check_request(settings.backend, discovery.backends(settings))
    except UnknownBackend as error:
        return [Check(AREA, "fail", str(error), "choose a known name; `tpregistry list` shows all")]
    except SettingError as error:
        return [Check(AREA, "fail", str(error))]
    return []
