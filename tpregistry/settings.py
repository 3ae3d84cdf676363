"""Settings: argument > context manager > environment > project file, each value with its source.

This file alone reads TP_* variables and ``[tool.tpregistry]``; everything else is handed a frozen `Settings`.
"""

from __future__ import annotations

import math
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from tpregistry.errors import SettingError
from tpregistry.project_file import table_of


class Tune(StrEnum):
    """When candidates are measured."""

    MISS = "miss"
    """A problem without a record is measured once, when it is first met."""
    OFF = "off"
    """Never; under auto, a problem without a record is left to the host."""
    FORCE = "force"
    """Always anew; records are replaced."""
    REQUIRE = "require"
    """Never, and under auto a problem without a record is an error."""


class Fallback(StrEnum):
    """What happens where the named backends cannot do a problem."""

    ERROR = "error"
    """An error with every reason."""
    WARN = "warn"
    """A warning with every reason, and the host's own code."""
    HOST = "host"
    """The host's own code, without a warning."""


class Log(StrEnum):
    """What is written to stderr."""

    OFF = "off"
    """Nothing."""
    DECISIONS = "decisions"
    """One line per decision, and progress on a terminal."""


@dataclass(frozen=True)
class Request:
    """TP_BACKEND, read: ``auto``, ``off``, names in order of preference, and names that are excluded."""

    text: str
    auto: bool = True
    off: bool = False
    names: tuple[str, ...] = ()
    excluded: frozenset[str] = frozenset()

    @property
    def forced(self) -> bool:
        """Whether one name alone was given: then there is no silent way around it."""
        return len(self.names) == 1

    @classmethod
    def parse(cls, text: str) -> Request:
        """Read ``auto``, ``off``, ``cg-hoist``, ``cuequivariance,cg,e3nn`` or ``auto,!cg-dense``."""
        words = [_keyword(word.strip()) for word in text.split(",") if word.strip()]
        excluded = frozenset(word[1:] for word in words if word.startswith("!"))
        names = tuple(word for word in words if not word.startswith("!"))
        bad = [name for name in (*names, *excluded) if not re.fullmatch(r"[A-Za-z0-9_.-]+", name)]
        misplaced = {"auto", "off"} & {*excluded, *(names if len(names) > 1 else ())}
        if bad or not words or misplaced or (names == ("off",) and excluded):
            raise SettingError(
                f"TP_BACKEND={text!r}: use auto, off, a backend, names in order ('a,b,e3nn'), or 'auto,!name' to exclude one"
            )
        if names in ((), ("auto",), ("off",)):
            return cls(text, auto=names != ("off",), off=names == ("off",), excluded=excluded)
        return cls(text, auto=False, names=names, excluded=excluded)


@dataclass(frozen=True, eq=False)
class Settings:
    """All settings in force; its identity is part of every binding, so a change applies to modules already bound."""

    backend: Request = Request("auto")
    """Which backend runs. The start-up hook acts only where the variable is set, and not to off."""
    tune: Tune = Tune.MISS
    """When candidates are measured."""
    budget: float = 10.0
    """Time for checking and measuring one problem, once."""
    fallback: Fallback = Fallback.ERROR
    """What happens where the named backends cannot do a problem."""
    cache_dir: Path | None = None
    """Folder of records, one JSON file per problem, and of compiled code."""
    plugins: tuple[str, ...] = ()
    """Plugins that may be imported, be they backends, hosts' adapters or databases; '!name' forbids one."""
    adapters: tuple[str, ...] = ()
    """Hosts that are accelerated; '!name' leaves one stock, its adapter is not imported then."""
    log: Log = Log.DECISIONS
    """What is written to stderr."""
    report: Path | None = None
    """File for what ran, written as JSON at exit; {pid} in it is replaced."""
    sources: Mapping[str, str] = field(default_factory=dict)
    shadowed: tuple[str, ...] = ()


def _keyword(word: str) -> str:
    """`AUTO` and `Off` as other settings read theirs; names of backends as they are."""
    return word.lower() if word.lower() in ("auto", "off") else word


def _seconds(text: str) -> float:
    match = re.fullmatch(r"\s*((?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(s|m|min)?\s*", text, re.IGNORECASE)
    seconds = float(match[1]) * (60 if (match[2] or "s").lower() != "s" else 1) if match else math.inf
    if not math.isfinite(seconds):
        raise ValueError("a number of seconds, such as 5 or 2m")
    return seconds


def _choice(kind: type[StrEnum]) -> Any:
    def read(text: str) -> StrEnum:
        try:
            return kind(text.strip().lower())
        except ValueError:
            raise ValueError("one of " + ", ".join(kind)) from None

    return read


def _names(meant: str) -> Any:
    def read(text: str) -> tuple[str, ...]:
        names = tuple(word.strip() for word in text.split(",") if word.strip())
        if not all(re.fullmatch(r"!?[\w.-]+", name) for name in names):
            raise ValueError(f"names of {meant}")
        return names

    return read


def _path(text: str) -> Path:
    """Absolute from the start, for a program may change its folder later."""
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError("a path whose home folder (~ or ~user) exists on this machine") from None


_READERS: dict[str, Any] = {
    "backend": Request.parse,
    "tune": _choice(Tune),
    "budget": _seconds,
    "fallback": _choice(Fallback),
    "cache_dir": _path,
    "plugins": _names("plugins, such as 'cg-llvm,cg-hoist' or '!cg-dense'"),
    "adapters": _names("hosts, such as 'e3nn,sevenn' or '!sevenn'"),
    "log": _choice(Log),
    "report": _path,
}
PATHS = ("cache_dir", "report")
PROJECT = "pyproject.toml"
VARIABLES = {name: f"TP_{name.upper()}" for name in _READERS}

override: ContextVar[Settings | None] = ContextVar("tpregistry_settings", default=None)


def current() -> Settings:
    """The settings in force here and now."""
    return override.get() or process_settings()


@lru_cache(maxsize=1)
def process_settings() -> Settings:
    """Environment and project file, read once per process (`process_settings.cache_clear()` reads them anew)."""
    warn_about_typos(os.environ)
    return resolve({}, os.environ, project_table(Path.cwd()))


Words = str | list[str] | tuple[str, ...]


@contextmanager
def use(backend: Words | None = None, **changes: Words | float | Path | None) -> Iterator[Settings]:
    """Apply settings to every call inside the ``with`` block, also of modules that are bound already.

    Takes the names of the TP_* variables in lower case: ``use("cg-hoist", tune="off")``; None means not given, and a list
    of names is one with commas. Raises SettingError for names or values that mean nothing. As every context variable it is
    for the thread that enters it: threads started inside have the settings of the process.
    """
    given = {"backend": backend, **changes}
    arguments = {name: _argument(name, value) for name, value in given.items() if value is not None}
    with _changing:
        changed = _changed(current(), tuple(sorted(arguments.items())))
    token = override.set(changed)
    try:
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context(changed))
            yield changed
    finally:
        override.reset(token)


def _argument(name: str, value: Any) -> str:
    """A value as a variable would hold it. A path is of the folder of now, which may be another when the same is asked again."""
    text = _flat(value)
    return str(_read(name, _path, "argument", text)) if name in PATHS and text else text


contexts: list[Callable[[Settings], AbstractContextManager[Any]]] = []
"""What else is entered with a `use` block: a framework that compiles programs must know that this one is another."""


_changing = threading.Lock()
"""So that threads which enter the same block at once share one object, and with it what is decided and bound."""


@cache
def _changed(base: Settings, arguments: tuple[tuple[str, str], ...]) -> Settings:
    """The same object for the same change: entering a block again finds the kernels that were bound in it."""
    return resolve(dict(arguments), base=base)


def resolve(
    arguments: Mapping[str, str],
    environ: Mapping[str, str] | None = None,
    project: Mapping[str, Any] | None = None,
    base: Settings | None = None,
) -> Settings:
    """Settle each setting from the first layer that has it. Raises SettingError naming layer, value and right values."""
    unknown = set(arguments) - set(_READERS)
    if unknown:
        raise SettingError(f"unknown settings {sorted(unknown)}; there are {', '.join(_READERS)}")
    variables = {name: (environ or {}).get(variable, "") for name, variable in VARIABLES.items()}
    table = {key: _flat(value) for key, value in (project or {}).items()}
    layers = [("argument", dict(arguments)), ("environment", variables), (PROJECT, table)]
    values: dict[str, Any] = {name: getattr(base, name) for name in _READERS} if base else {}
    sources = dict(base.sources) if base else {}
    shadowed: list[str] = []
    for name, reader in _READERS.items():
        offers = [(layer, texts[name]) for layer, texts in layers if texts.get(name)]
        if offers:
            values[name] = _read(name, reader, *offers[0])
            sources[name] = offers[0][0]
            shadowed += [f"{name}={text} ({layer})" for layer, text in offers[1:]]
    return Settings(**values, sources=sources, shadowed=tuple(shadowed))


def _read(name: str, reader: Any, layer: str, text: str) -> Any:
    try:
        return reader(text)
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(f"{VARIABLES[name]}={text!r} (from {layer}): use {error}") from None


def _flat(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def project_table(folder: Path) -> dict[str, Any]:
    """``[tool.tpregistry]`` of the nearest pyproject.toml at or above ``folder``; empty where there is none."""
    for parent in (folder, *folder.parents):
        path = parent / PROJECT
        if os.path.isfile(path):
            return _checked(path, table_of(path))
    return {}


def _checked(path: Path, table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise SettingError(f"{path}: tool.tpregistry is {table!r}; make it a table, [tool.tpregistry] with backend = 'auto' in it")
    unknown = sorted(set(table) - set(_READERS))
    if unknown:
        raise SettingError(f"{path}: unknown settings {unknown} in [tool.tpregistry]; there are {', '.join(_READERS)}")
    return table | {name: _inside(path, name, str(table[name])) for name in PATHS if table.get(name)}


def _inside(file: Path, name: str, text: str) -> str:
    """A path of a project file is relative to that file, wherever a program is started.

    It stays in the project, links followed, for projects are cloned and unpacked, and nobody reads their settings first.
    """
    whole = text if text.startswith("~") else str(file.parent / text)
    place = Path(os.path.normpath(_read(name, _path, PROJECT, whole)))
    folder = Path(os.path.realpath(file.parent))
    if not (place.is_relative_to(file.parent) and Path(os.path.realpath(place)).is_relative_to(folder)):
        right = f"use a path inside of {file.parent}, or set {VARIABLES[name]} for another"
        raise SettingError(f"{file}: {name} = {text!r} leads out of the project; {right}")
    return str(place)


def warn_about_typos(environ: Mapping[str, str]) -> list[str]:
    """Warn of TP_* names within two edits of ours (others, such as TP_SIZE of tensor-parallel programs, are not ours)."""
    ours = set(VARIABLES.values())
    found = []
    for name in sorted(environ):
        if name.startswith("TP_") and name not in ours:
            found += [f"{name} is not a setting of tpregistry; did you mean {near}?" for near in ours if edits(name, near) <= 2]
    for message in found:
        warnings.warn(message, stacklevel=3)
    return found


def edits(a: str, b: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions between two words."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        previous, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(row[-1] + 1, previous[j] + 1, previous[j - 1] + (letter != other)))
    return row[-1]
