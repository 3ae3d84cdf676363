"""What lies in the folder of TP_CACHE_DIR, and how it is removed.

That folder may be anyone's, a project's for instance, with a `code` of its own: so a file is ours only if its content says so.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from tpregistry import trust
from tpregistry.store.code import CODE, is_whole
from tpregistry.store.directory import ENVIRONMENT, MOST, environment_digest
from tpregistry.store.files import leftovers


def code_files(root: Path) -> list[Path]:
    """Files of compiled code that are whole, below ``code/<backend>``."""
    return [path for path in sorted((root / CODE).glob("*/*")) if is_whole(path)]


def leftover_files(root: Path, *parts: str) -> list[Path]:
    """What killed writers have left beside records (part ``v1``) or code (``code``)."""
    return [path for part in parts for folder in sorted((root / part).glob("*/")) for path in leftovers(folder)]


def total_bytes(paths: Iterable[Path]) -> int:
    """What files take; those that are gone by now take nothing."""
    found = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found += path.stat().st_size
    return found


def remove(paths: Iterable[Path]) -> None:
    """Remove files, and the two levels of folders above each where that leaves nothing of use. Raises OSError."""
    chosen = list(paths)
    for path in chosen:
        path.unlink(missing_ok=True)
    for folder in sorted({path.parent for path in chosen}):
        _leave(folder)
        with contextlib.suppress(OSError):  # not empty: something else lies there
            folder.rmdir()
            folder.parent.rmdir()


def _leave(folder: Path) -> None:
    """Remove the description of an environment that has no records any more."""
    described = folder / ENVIRONMENT
    if {path.name for path in folder.glob("*")} == {ENVIRONMENT} and _describes(described, folder.name):
        described.unlink()


def _describes(file: Path, digest: str) -> bool:
    try:
        return environment_digest(json.loads(trust.read(file, MOST).decode())) == digest
    except (OSError, ValueError, TypeError):
        return False
