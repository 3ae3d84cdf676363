"""Where backends keep the code that they generate and compile."""

from __future__ import annotations

from pathlib import Path

from tpregistry.settings import current
from tpregistry.store.directory import open_store


def code_folder(backend: str) -> Path:
    """The folder of a backend's compiled code, beside the records of TP_CACHE_DIR; it need not exist yet."""
    return open_store(current().cache_dir).root / "code" / backend
