"""Compiled code that backends keep, beside the records of TP_CACHE_DIR.

It is run as it lies there, so only files that none but the user and root can have written are loaded (`tpregistry.trust`).
Elsewhere code is compiled anew in each process, and a line on stderr says so.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tpregistry import trust
from tpregistry.progress import tell
from tpregistry.settings import PROJECT, Settings, current
from tpregistry.store.directory import open_store
from tpregistry.store.files import write_whole
from tpregistry.trust import Untrusted

CODE = "code"
CURE = "let TP_CACHE_DIR name a folder of your own, or take the rights of others to write away (chmod go-w)"
MOST = 256 * trust.MEGABYTE


class Code:
    """Files under digests of everything that they depend on, each behind a checksum of itself and of its name.

    Processes that make the same at once write the same. Whatever goes wrong is a miss: the code is made again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> bytes | None:
        """What was kept under a key, where it is whole, and nobody else can have put it there."""
        try:
            return _whole(key, trust.read(self.folder / key, MOST, ours=True))
        except Untrusted as error:
            _tell_once(self.folder.parent, str(error))
        except OSError:
            pass
        return None

    def put(self, key: str, code: bytes) -> None:
        """Keep it, where the folder can be written, and by nobody else."""
        try:
            folder = self.private()
            if folder is not None:
                write_whole(folder / key, _checksum(key, code) + code, 0o600)
        except OSError:
            return

    def private(self, *, make: bool = True) -> Path | None:
        """The folder, by a way without links, and made if need be; None where others can write to it. Raises OSError."""
        why = trust.fault(self.folder)
        if why:
            _tell_once(self.folder.parent, why)
            return None
        folder = Path(os.path.realpath(self.folder))
        if make:
            trust.make(folder, 0o700)
        return folder


def is_whole(path: Path) -> bool:
    """Whether a file is code that was kept, whoever kept it."""
    try:
        return _whole(path.name, trust.read(path, MOST)) is not None
    except OSError:
        return False


def _whole(key: str, data: bytes) -> bytes | None:
    checksum, code = data[:32], data[32:]
    return code if _checksum(key, code) == checksum else None


def _checksum(key: str, code: bytes) -> bytes:
    """Of both, so that a file under another's name is none."""
    return hashlib.sha256(key.encode() + b"\0" + code).digest()


_told: set[Path] = set()


def _tell_once(folder: Path, why: str) -> None:
    """By no warning: those are switched off in the thread of tuning, where code is compiled first."""
    if folder not in _told:
        _told.add(folder)
        tell(f"tpregistry: warning: compiled code in {folder} is not used but made anew: {why}; {CURE}")


def open_code(backend: str) -> Code:
    """What a backend has kept."""
    return Code(code_root(current()) / CODE / backend)


def code_root(settings: Settings) -> Path:
    """The folder of TP_CACHE_DIR. One that a project file names is for records alone, for code may come with a project as well."""
    return open_store(None if settings.sources.get("cache_dir") == PROJECT else settings.cache_dir, settings.plugins).root
