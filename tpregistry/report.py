"""TP_REPORT: what ran, written as JSON when the process ends."""

from __future__ import annotations

import atexit
import json
import os
from functools import lru_cache
from pathlib import Path

from tpregistry.progress import tell
from tpregistry.settings import Settings


@lru_cache(maxsize=1)
def arrange(settings: Settings) -> None:
    """Write the decisions of this process to TP_REPORT at exit; ``{pid}`` in its name is replaced.

    Children of `multiprocessing` leave without Python's exit functions; they have their own, emptied after a fork.
    """
    if settings.report is None:
        return
    from multiprocessing import parent_process, util

    def write_at_end_of_child(_: object) -> None:
        util.Finalize(None, write, (str(settings.report),), exitpriority=0)

    atexit.register(write, str(settings.report))
    util.register_after_fork(arrange, write_at_end_of_child)
    if parent_process() is not None:
        write_at_end_of_child(None)


def write(name: str) -> None:
    """Write the decisions of this process now, whole or not at all; what cannot be written is said on stderr."""
    path = name.replace("{pid}", str(os.getpid()))
    from tpregistry import session
    from tpregistry.store.files import write_named

    try:
        write_named(Path(path), json.dumps(session.made.to_json(), indent=1).encode())
    except OSError as error:
        tell(f"tpregistry: TP_REPORT={path} could not be written ({error.strerror or error})")
