"""Another user of the machine, where a test may be one."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

STRANGER, USER = 65534, 65533


def act(user: int, work: Callable[[], None]) -> None:
    """Do something in a process of that user's, which must not fail."""
    process = os.fork()
    if process == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(process, 0)[1] == 0, "see standard error"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others can look into, but not write; skipped where no test can be another user."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    folder = Path(tempfile.mkdtemp(prefix="tpregistry-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def shared(folder: Path, mode: int = 0o777) -> Path:
    """Made for everybody to write, whatever the umask."""
    folder.mkdir()
    folder.chmod(mode)
    return folder
