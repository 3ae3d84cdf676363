"""A digest of a package's sources: a plugin that was changed under the same version is another plugin, and is checked anew."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path


@cache
def fingerprint(package: str) -> str:
    """8 hex digits of the Python sources of an imported package, and of sizes and times of its other files."""
    file = getattr(sys.modules.get(package), "__file__", None)
    if file is None:
        return "unknown"
    top = Path(file)
    files = sorted(top.parent.rglob("*")) if top.name == "__init__.py" else [top]
    digest = hashlib.sha256()
    for path in files:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.name.encode())
            digest.update(path.read_bytes() if path.suffix == ".py" else repr(_size_and_time(path)).encode())
    return digest.hexdigest()[:8]


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
