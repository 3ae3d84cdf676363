"""Files that are whole or not there: written under another name, then renamed.

They may be read by whom the umask lets, for a folder of records may be a group's (those of `tempfile` are their owner's alone).
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

HOUR = 3600


def write_whole(path: Path, data: bytes) -> None:
    """Make or replace a file. Raises OSError; leaves nothing half-written whatever happens.

    What a link leads to, a device and a pipe are written to as they are: a new file in their place would end them.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(data)
        return
    temporary = path.with_name(f".{os.urandom(8).hex()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def leftovers(folder: Path) -> list[Path]:
    """What writers that were killed have left in a folder; one younger than an hour may still be at work."""
    temporary = (path for path in folder.glob(".*.tmp") if re.fullmatch(r"\.[a-z0-9_]{8,16}\.tmp", path.name))
    return [path for path in sorted(temporary) if aged(path)]


def aged(path: Path) -> bool:
    """Whether a file has lain there for more than an hour."""
    try:
        return time.time() - path.stat().st_mtime > HOUR
    except OSError:  # its writer has just renamed or removed it
        return False
