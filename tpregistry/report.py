"""TP_REPORT: what ran, written as JSON when the process ends."""

from __future__ import annotations

import atexit
import json
import os
import sys
from functools import lru_cache

from tpregistry.settings import Settings


@lru_cache(maxsize=1)
def arrange(settings: Settings) -> None:
    """Write the decisions of this process to TP_REPORT at exit; ``{pid}`` in its name is replaced."""
    if settings.report is not None:
        atexit.register(write, str(settings.report))


def write(name: str) -> None:
    """Write the decisions of this process now; what cannot be written is said on stderr."""
    path = name.replace("{pid}", str(os.getpid()))
    from tpregistry import session

    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(session.made.to_json(), file, indent=1)
    except OSError as error:
        print(f"tpregistry: TP_REPORT={path} could not be written ({error})", file=sys.stderr)
