"""A digest of a package's sources: a plugin that was changed under the same version is another plugin, and is checked anew."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path


def fingerprint(module: str) -> str:
    """8 hex digits of the Python sources of an imported module's package, and of sizes and times of its other files."""
    roots = _roots(module)
    return _digest(roots) if roots else "unknown"


def _roots(module: str) -> tuple[Path, ...]:
    """The outermost package with an `__init__`; else the innermost without one, as strangers may share the outer; else its file."""
    names = module.split(".")
    inward = [sys.modules.get(".".join(names[:depth])) for depth in range(1, len(names) + 1)]
    packages = [one for one in inward if one is not None and hasattr(one, "__path__")]
    files = [file for one in packages or inward if (file := getattr(one, "__file__", None))]
    if files:
        return (Path(files[0]).parent if packages else Path(files[0]),)
    return tuple(Path(folder) for one in packages[-1:] for folder in one.__path__)


@cache
def _digest(roots: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in (path for root in roots for path in (sorted(root.rglob("*")) if root.is_dir() else [root])):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.name.encode())
            digest.update(path.read_bytes() if path.suffix == ".py" else repr(_size_and_time(path)).encode())
    return digest.hexdigest()[:8]


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
