"""Backends that ended a process: what a fatal error says while one is checked is kept, and the next start sees it.

A segmentation fault cannot be caught, and would end every start alike. Python's `faulthandler` writes the stacks to a file before
the process ends. A kill or a time limit writes none: then the file means nothing, and the backend is tried again.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from io import FileIO
from itertools import islice
from pathlib import Path

from tpregistry import trust
from tpregistry.backend import Reason
from tpregistry.select import Candidate
from tpregistry.store.contents import remove
from tpregistry.store.files import MANY, aged, remove_own

CRASHES = "crashes"
FATAL = b"Fatal Python error"
CRASHED = "TP182"


class Crashes:
    """Those in one environment, under ``root``; a backend of other versions is another backend."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root, self.environment = root, dict(environment)

    def of(self, backend: str, versions: Mapping[str, str]) -> Path | None:
        """The file of a backend that ended a process."""
        return next(filter(_fatal, sorted(self._folder(backend, versions).glob("*.txt"))), None)

    def leave_out(self, candidate: Candidate) -> Candidate:
        """The candidate, with a reason against it if it ended a process."""
        file = self.of(candidate.name, dict(candidate.versions)) if candidate.ok and not candidate.host else None
        if file is None:
            return candidate
        hint = f"{file} says where: update the backend, or delete the file to have it tried again"
        return replace(candidate, reasons=(Reason(CRASHED, f"{candidate.name} ended a process while it was checked", hint),))

    @contextmanager
    def watch(self, backend: str, versions: Mapping[str, str], words: str) -> Iterator[None]:
        """While a backend is checked, ``words`` saying on what. A fault handler of the program's own stays; then nothing is."""
        file = None if faulthandler.is_enabled() else self._opened(self._folder(backend, versions))
        if file is None:
            yield
            return
        with file:
            file.write(f"{backend} {dict(versions)} was checked on {words}\n".encode())
            faulthandler.enable(file)
            try:
                yield
            finally:
                faulthandler.disable()
                with suppress(OSError):
                    remove([Path(file.name)])

    def _folder(self, backend: str, versions: Mapping[str, str]) -> Path:
        key = json.dumps([self.environment, backend, dict(versions)], sort_keys=True)
        return self.root / CRASHES / hashlib.sha256(key.encode()).hexdigest()[:16]

    def _opened(self, folder: Path) -> FileIO | None:
        """A new file; None where the folder cannot be written."""
        _clean(self.root)
        try:
            trust.make(self.root)
            folder.mkdir(parents=True, exist_ok=True)
            return FileIO(folder / f"{os.getpid()}-{os.urandom(4).hex()}.txt", "x")
        except OSError:
            return None


@cache
def _clean(root: Path) -> None:
    """Once in a process: nobody else removes what checks that were killed have left. What tells of a crash stays."""
    found = list(islice((root / CRASHES).glob("*/*.txt"), MANY))
    remove_own(path for path in found if aged(path) and not _fatal(path))


def crash_files(root: Path) -> list[Path]:
    """What backends that ended a process have left, and checks that were killed; not those that go on."""
    return [path for path in sorted((root / CRASHES).glob("*/*.txt")) if _fatal(path) or aged(path)]


def _fatal(path: Path) -> bool:
    """Whether a file tells of an error that ended a process."""
    try:
        return FATAL in trust.read(path, trust.MEGABYTE)
    except OSError:
        return False
