"""Compiled code that backends keep, beside the records of TP_CACHE_DIR."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tpregistry.settings import current
from tpregistry.store.directory import open_store
from tpregistry.store.files import write_whole

CODE = "code"


class Code:
    """Files under digests of everything that they depend on, each behind a checksum of itself.

    Processes that make the same at once write the same. Whatever goes wrong is a miss: the code is made again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> bytes | None:
        """What was kept under a key, where it is whole."""
        try:
            data = (self.folder / key).read_bytes()
        except OSError:
            return None
        checksum, code = data[:32], data[32:]
        return code if hashlib.sha256(code).digest() == checksum else None

    def put(self, key: str, code: bytes) -> None:
        """Keep it, where the folder can be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / key, hashlib.sha256(code).digest() + code)
        except OSError:
            return


def open_code(backend: str) -> Code:
    """What a backend has kept."""
    return Code(open_store(current().cache_dir).root / CODE / backend)
