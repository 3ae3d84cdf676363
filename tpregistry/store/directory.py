"""Records as files: ``<root>/v1/<environment>/<problem>.json``, written to a temporary name and renamed.

No locks: the last valid write wins. A file that is unreadable, foreign or half-written is a miss with one warning, never
an exception; a folder that cannot be written keeps records in memory for this process, with one warning.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from tpregistry import trust
from tpregistry.discovery import DATABASES, entry_points, folder_of
from tpregistry.problem import Problem
from tpregistry.store.files import write_whole
from tpregistry.store.record import Record

VERSION, ENVIRONMENT = "v1", "environment.json"
MOST = 16 * trust.MEGABYTE
Environment = Mapping[str, str]


def environment_digest(environment: Environment) -> str:
    """16 hex digits of device, threads, driver, framework and host."""
    return hashlib.sha256(json.dumps(dict(environment), sort_keys=True).encode()).hexdigest()[:16]


class Store:
    """The user's records over read-only layers below (a site's, bundled databases)."""

    def __init__(self, root: Path, below: tuple[Path, ...] = ()) -> None:
        self.root = root
        self.below = below
        self._memory: dict[tuple[str, str], Record] = {}
        self._warned: set[str] = set()

    def path(self, environment: Environment, problem: Problem, root: Path | None = None) -> Path:
        """Where the record of a problem lies."""
        return (root or self.root) / VERSION / environment_digest(environment) / f"{problem.digest}.json"

    def get(self, environment: Environment, problem: Problem) -> Record | None:
        """The record of a problem, from the first layer that has a valid one."""
        key = environment_digest(environment), problem.digest
        if key in self._memory:
            return self._memory[key]
        for root in (self.root, *self.below):
            record = self._read(self.path(environment, problem, root))
            if record and (record.problem, record.environment) == (problem, dict(environment)):
                self._memory[key] = record
                return record
            if record:
                self._warn(f"{self.path(environment, problem, root)} holds the record of another problem; it is ignored")
        return None

    def put(self, record: Record) -> None:
        """Keep a record, in memory and in the user's layer."""
        self._memory[environment_digest(record.environment), record.problem.digest] = record
        path = self.path(record.environment, record.problem)
        try:
            trust.make(self.root)
            path.parent.mkdir(parents=True, exist_ok=True)  # as the umask says: in a folder of a group's others add to it
            _write_once(path.parent / ENVIRONMENT, json.dumps(record.environment, indent=1))
            write_whole(path, json.dumps(record.to_json()).encode())
        except OSError as error:
            self._warn(f"records cannot be written to {self.root} ({error.strerror or error}); they last for this process only")

    def records(self) -> list[Record]:
        """Every valid record in the user's layer."""
        return list(self.files().values())

    def files(self) -> dict[Path, Record]:
        """The same by file."""
        paths = sorted((self.root / VERSION).glob("*/*.json"))
        found = ((path, self._read(path)) for path in paths if path.name != ENVIRONMENT)
        return {path: record for path, record in found if record}

    def _read(self, path: Path) -> Record | None:
        try:
            return Record.from_json(json.loads(trust.read(path, MOST).decode()))
        except FileNotFoundError:
            return None
        except Exception as error:  # a file may hold anything, such as an object that is nested too deep to be read
            self._warn(f"{path} is not a record ({type(error).__name__}: {error}); the problem counts as not tuned")
            return None

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(f"tpregistry: {message}", stacklevel=4)


@lru_cache(maxsize=8)
def open_store(cache_dir: Path | None, plugins: tuple[str, ...] = ()) -> Store:
    """The store of TP_CACHE_DIR, or of the platform's cache folder, over the site's and the databases that TP_PLUGINS allows."""
    import platformdirs  # 20 ms: only when a store is opened

    root = cache_dir or Path(platformdirs.user_cache_dir("tpregistry", appauthor=False))
    site = Path(platformdirs.site_data_dir("tpregistry", appauthor=False))
    return Store(root, (site, *_databases(plugins)))


def _databases(plugins: tuple[str, ...]) -> tuple[Path, ...]:
    """Folders of records that distributions bring: entry points ``name = package:folder``."""
    found = map(folder_of, entry_points(DATABASES, plugins))
    return tuple(folder for folder in found if folder is not None)


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        write_whole(path, text.encode())
