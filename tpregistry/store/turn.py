"""Whose turn it is to measure a problem: processes that meet it at once share the work of one.

A lock on a file beside the record, which the system releases when its process ends, however that ends. A forked child of the
process that measures lets go of its copy, else it would hold the lock for its parent. Where a folder cannot be written, or knows
no locks (Windows, some network file systems), everybody measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tpregistry.forking import rest

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PAUSE = 0.05
"""Seconds between two looks."""

_held: set[int] = set()


@contextmanager
def turn(record: Path, patience: float) -> Iterator[bool]:
    """Whether this process may measure: at once, or after ``patience`` seconds at the most; false where another still does."""
    file = record.with_name(f".{record.stem[:16]}.tmp")  # a name of those that are cleared where a killed process leaves them
    handle = _locked(file, time.monotonic() + patience)
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        _release(handle, file)


def _locked(file: Path, until: float) -> int | None:
    """A handle that holds the lock; -1 where there are no locks, None where another holds it all the time."""
    while True:
        try:
            handle = _opened(file)
        except OSError:
            return -1
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            if time.monotonic() >= until:
                return None
            with rest():
                time.sleep(PAUSE)
        except OSError:
            os.close(handle)
            return -1
        else:
            if _is_at(handle, file):
                _held.add(handle)
                return handle
            os.close(handle)  # its holder has removed it meanwhile


def _opened(file: Path) -> int:
    if fcntl is None:
        raise OSError("no locks on this system")
    file.parent.mkdir(parents=True, exist_ok=True)
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def _is_at(handle: int, file: Path) -> bool:
    try:
        there, held = os.stat(file), os.fstat(handle)
    except OSError:
        return False
    return (there.st_ino, there.st_dev) == (held.st_ino, held.st_dev)


def _release(handle: int, file: Path) -> None:
    if handle in _held:  # not in a forked child, whose parent holds it still
        _held.discard(handle)
        with suppress(OSError):
            os.unlink(file)
        os.close(handle)


def _in_forked_child() -> None:
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
