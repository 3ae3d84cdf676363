"""Files that are whole or not there: written under another name, then renamed.

They may be read by whom the umask lets, for a folder of records may be a group's (those of `tempfile` are their owner's alone).
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path

from tpregistry import trust

HOUR = 3600
FEW, MANY = 100, 10_000


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Make or replace a file. Raises OSError; leaves nothing half-written whatever happens.

    A link, pipe or device of that name is replaced: never written to, for it may be another's.
    """
    temporary = path.with_name(f".tpregistry-{os.urandom(8).hex()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _clean(path.parent)


def write_named(path: Path, data: bytes) -> None:
    """Write what a person has named. Raises OSError, Untrusted where it is a link, device or pipe of another's.

    What a link leads to, a device and a pipe are written to as they are: a new file in their place would end them.
    """
    if not path.is_symlink() and (path.is_file() or not path.exists()):
        return write_whole(path, data)
    with os.fdopen(trust.open_through(path), "wb") as file:
        file.write(data)


def leftovers(folder: Path) -> list[Path]:
    """What writers that were killed have left in a folder; one younger than an hour may still be at work."""
    with suppress(OSError), os.scandir(folder) as entries:
        names = [one.name for one in islice(entries, MANY) if re.fullmatch(r"\.tpregistry-[0-9a-f]{16}\.tmp", one.name)]
        return [path for path in (folder / name for name in sorted(names)) if aged(path)]
    return []


@cache
def _clean(folder: Path) -> None:
    """Once in a process and folder: nobody else removes what a kill has left."""
    remove_own(leftovers(folder))


def remove_own(paths: Iterable[Path]) -> None:
    """Remove files of the user's, a few at a time; those of others are theirs."""
    for path in islice(paths, FEW):
        with suppress(OSError):
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and trust.is_own(status):
                path.unlink()


def aged(path: Path) -> bool:
    """Whether a file has lain there for more than an hour."""
    try:
        return time.time() - path.lstat().st_mtime > HOUR
    except OSError:  # its writer has just renamed or removed it
        return False
