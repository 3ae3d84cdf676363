"""Finding plugins: entry points, loaded one by one through stevedore, none of which can break the others.

stevedore 5.10 keeps a scan cache whose time stamps have a resolution of 128 s, and picks silently among duplicates;
so the points are listed fresh from the metadata, and duplicates are found here.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tpregistry.backend import API, Backend, Face, Reason
from tpregistry.errors import SettingError, TPError, UnknownBackend
from tpregistry.fingerprint import fingerprint
from tpregistry.settings import Request, Settings

BACKENDS, ADAPTERS, DATABASES = "tpregistry.backends", "tpregistry.adapters", "tpregistry.databases"


@dataclass(frozen=True)
class Plugin:
    """A backend that an installed distribution offers; ``trouble`` says why it cannot be used at all."""

    name: str
    distribution: str
    version: str
    backend: Backend | None
    trouble: tuple[Reason, ...] = ()

    @property
    def face(self) -> Face | None:
        """What it says of itself, where it could be asked."""
        return self.backend.face if self.backend else None

    @property
    def family(self) -> str:
        """The name that stands for it and its kin."""
        return self.face.family if self.face else self.name

    def answers_to(self, name: str) -> bool:
        """Whether ``name`` means this backend, by itself or by its family."""
        return name in (self.name, self.family)

    @property
    def versions(self) -> dict[str, str]:
        """What its records depend on: its own distribution and sources, what it requires and what it uses."""
        needed = self.face.requires + self.face.uses if self.face else ()
        found = {name: installed_version(name) for name in needed}
        code = fingerprint(type(self.backend).__module__)
        return {self.distribution: f"{self.version}+{code}"} | {name: version for name, version in found.items() if version}


def backends(settings: Settings) -> dict[str, Plugin]:
    """Every backend by name, broken ones included; those outside TP_PLUGINS are not imported."""
    return _backends(settings.plugins)


@lru_cache(maxsize=8)
def _backends(allowed: tuple[str, ...]) -> dict[str, Plugin]:
    points = entry_points(BACKENDS)
    counts = Counter(point.name for point in points)
    known = {_short(point) for group in (BACKENDS, ADAPTERS, DATABASES) for point in entry_points(group)}
    _warn_of_strangers(allowed, sorted(known))
    return {point.name: _plugin(point, counts[point.name], allowed) for point in points}


def _warn_of_strangers(allowed: tuple[str, ...], known: list[str]) -> None:
    """A name that allows or forbids nothing is a mistake, but none that ends a program."""
    for name in (word.removeprefix("!") for word in allowed):
        if name not in known:
            wanted = f"{_unknown(name, known)} (a family's name means nothing here)"
            warnings.warn(f"tpregistry: TP_PLUGINS={','.join(allowed)}: {wanted}", stacklevel=2)


def _short(point: metadata.EntryPoint) -> str:
    """The name by which TP_PLUGINS knows it: an adapter goes by its host, not by the module that it waits for."""
    return point.name.partition(".")[0] if point.group == ADAPTERS else point.name


def _hosts(allowed: tuple[str, ...]) -> set[str]:
    """Names of plugins that stand for hosts' own code. Their versions are part of every record, so they are always there."""
    return {"definition", *map(_short, entry_points(ADAPTERS, allowed))}


def is_allowed(name: str, allowed: tuple[str, ...]) -> bool:
    """Whether TP_PLUGINS lets a name in: it forbids none and, where it names any, names this one."""
    named = [word for word in allowed if not word.startswith("!")]
    return f"!{name}" not in allowed and (name in named or not named)


def _plugin(point: metadata.EntryPoint, count: int, allowed: tuple[str, ...]) -> Plugin:
    distribution = point.dist.name if point.dist else "?"
    version = point.dist.version if point.dist else "?"
    if not is_allowed(point.name, allowed) and not (_is_ours(point) and point.name in _hosts(allowed)):
        trouble = Reason("TP150", f"{point.name} is not allowed by TP_PLUGINS", "add its name to TP_PLUGINS")
    elif count > 1:
        trouble = Reason("TP151", f"{count} distributions offer a backend named {point.name}", "uninstall all but one")
    else:
        try:
            with redirect_stdout(sys.stderr):  # standard output is the program's
                backend = checked(load(point)())
            return Plugin(point.name, distribution, version, backend, tuple(missing(backend.face, distribution)))
        except (Exception, SystemExit) as error:  # a plugin may raise anything; the program goes on without it
            message = f"importing {point.value} raised {type(error).__name__}: {error}"
            trouble = Reason("TP152", message, f"reinstall {distribution}")
    return Plugin(point.name, distribution, version, None, (trouble,))


def checked(backend: Any) -> Backend:
    """The same object, where it is a backend with a face that can be read. Raises TypeError."""
    if not isinstance(getattr(backend, "face", None), Face) or not isinstance(backend, Backend):
        lacks = [name for name in ("face", "supports", "build") if not hasattr(backend, name)] or ["a face that is a Face"]
        raise TypeError(f"{type(backend).__name__} lacks {', '.join(lacks)}; see tpregistry.backend.Backend")
    if backend.face.api != API:
        raise TypeError(f"it is written for plugin API {backend.face.api}, this tpregistry has {API}")
    for name, (means, fits) in _FACE.items():
        value = getattr(backend.face, name)
        if not fits(value):
            raise TypeError(f"{name} of its face is {value!r}, not {means}")
    return backend


def _word(value: Any) -> bool:
    return isinstance(value, str) and value != ""


_WORD = ("a string that is not empty", _word)
_WORDS = ("a tuple of strings that are not empty", lambda value: isinstance(value, tuple) and all(map(_word, value)))
_FLAG = ("True or False", lambda value: isinstance(value, bool))
_FACE: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("name", "summary", "family", "licence"), _WORD),
    **dict.fromkeys(("frameworks", "operations", "requires", "uses"), _WORDS),
    "host": _FLAG,
}
"""What each part of a face must be: one that is not would disable every backend wherever they are listed together."""


def missing(face: Face, distribution: str) -> list[Reason]:
    """A reason for each distribution that a backend of ``distribution`` requires and that is not installed."""
    absent = [name for name in face.requires if installed_version(name) is None]
    extras = extras_by_requirement(distribution) if absent else {}
    ours = source_of(distribution) if extras else ""
    sources = {name: f'"{ours}[{extras[name]}]"' if name in extras else name for name in absent}
    return [Reason("TP160", f"{face.name} needs {name}, which is not installed", f"pip install {sources[name]}") for name in absent]


def source_of(distribution: str) -> str:
    """What pip finds a distribution by: the folder it was installed from, such as a checkout, while it is there; else its name."""
    import json
    from urllib.parse import unquote, urlsplit

    try:
        said = json.loads(metadata.distribution(distribution).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return distribution
    folder = unquote(urlsplit(said.get("url", "")).path) if "dir_info" in said else ""
    return folder if os.path.isfile(os.path.join(folder, "pyproject.toml")) and folder else distribution


def extras_by_requirement(distribution: str) -> dict[str, str]:
    """The first extra by which a distribution installs each of its optional requirements."""
    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return {}
    found = (re.match(r"([\w.-]+).*\bextra *== *['\"]([^'\"]+)", line) for line in lines)
    return {match[1]: match[2] for match in reversed(list(found)) if match}


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def entry_points(group: str, allowed: tuple[str, ...] = ()) -> list[metadata.EntryPoint]:
    """What installed distributions offer in a group, by name; of others' than ours only what TP_PLUGINS allows."""
    points = (point for point in _points().select(group=group) if _is_ours(point) or is_allowed(_short(point), allowed))
    return sorted(points, key=lambda point: point.name)


@lru_cache(maxsize=1)
def _points() -> Any:
    """Of all groups at once: 20 ms, whatever is asked for."""
    return metadata.entry_points()


def _is_ours(point: metadata.EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == "tpregistry"


def folder_of(point: metadata.EntryPoint) -> Path | None:
    """Where a database lies. It is data: nothing of its package is imported to find it."""
    top, *inner = point.module.split(".")
    try:
        spec = find_spec(top)
    except ValueError:  # a module without one
        spec = None
    places = spec.submodule_search_locations if spec else None
    return next((folder for place in places or () if (folder := Path(place, *inner, point.attr)).is_dir()), None)


def load(point: metadata.EntryPoint) -> Any:
    """Import what an entry point names. Raises what the import raises."""
    from stevedore.driver import DriverManager  # 40 ms: only when something is loaded

    class Driver(DriverManager):
        def list_entry_points(self) -> list[metadata.EntryPoint]:
            return [point]

    def fail(manager: Any, point: Any, error: BaseException) -> None:
        raise error

    return Driver(point.group, point.name, on_load_failure_callback=fail).driver


def load_named(group: str, name: str, allowed: tuple[str, ...] = ()) -> Any:
    """Import what the only entry point of that name offers. Raises TPError where there is none, or several."""
    points = [point for point in entry_points(group, allowed) if point.name == name]
    if len(points) != 1:
        offers = ", ".join(str(point.dist.name if point.dist else point.value) for point in points)
        raise TPError(f"{len(points)} distributions offer {name} in {group} ({offers or 'none'}): there must be one")
    return load(points[0])


def check_request(request: Request, plugins: dict[str, Plugin]) -> None:
    """Raise UnknownBackend, listing the known names and the nearest, unless every name of a request is known."""
    known = sorted({*plugins, *(plugin.family for plugin in plugins.values())})
    for name in (*request.names, *request.excluded):
        if name not in known:
            words = ["auto", "off"] if name in request.names else []
            raise UnknownBackend(f"TP_BACKEND={request.text}: {_unknown(name, [*words, *known])}")
    _check_exclusions(request, plugins)


def _check_exclusions(request: Request, plugins: dict[str, Plugin]) -> None:
    """Raise SettingError where all that is named is excluded as well. Hosts cannot be excluded."""
    named = [plugin for plugin in plugins.values() if any(map(plugin.answers_to, request.names))]
    if named and all(any(map(plugin.answers_to, request.excluded)) and not _is_host(plugin) for plugin in named):
        wanted = "leave out the name or its '!'"
        raise SettingError(f"TP_BACKEND={request.text}: what is named is excluded too, so nothing is left; {wanted}")


def _is_host(plugin: Plugin) -> bool:
    return plugin.face is not None and plugin.face.host


def find(name: str, plugins: dict[str, Plugin]) -> Plugin:
    """The plugin of one backend. Raises UnknownBackend, listing the known names and the nearest."""
    if name not in plugins:
        raise UnknownBackend(_unknown(name, list(plugins)))
    return plugins[name]


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]}?" if near else ""
    return f"there is no backend {name!r}.{guess} Known: {', '.join(known)}"


def forget() -> None:
    """Scan again at the next call (after an installation in a running process)."""
    _backends.cache_clear()
    _points.cache_clear()
