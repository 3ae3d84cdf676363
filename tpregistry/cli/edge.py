"""Standard output as it may be: of few characters, full, closed, or a pipe whose reader left."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

from tpregistry.cli.output import note

UNWRITABLE = 74
TROUBLES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """What is printed inside is out at the end; where it cannot be, one line says so, and the exit code."""
    absent = io.StringIO() if sys.stdout is None else None
    if absent is not None:
        sys.stdout = absent
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an encoding without a micro sign is no reason to end
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in TROUBLES:  # errors of files name the file
            raise
        _unwritable(error)
    finally:
        _flush()
        if absent is not None and absent.getvalue():
            _unwritable(OSError(errno.EBADF, "it is closed"))


def _unwritable(error: OSError) -> NoReturn:
    _drop()
    note(f"error: stdout cannot be written ({error.strerror}); send it elsewhere")
    raise SystemExit(UNWRITABLE) from None


def _flush() -> None:
    """What is still buffered goes out now; a reader that left early (`| head`) is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop()
    except OSError as error:
        _unwritable(error)


def _drop() -> None:
    """Python would flush once more when it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
