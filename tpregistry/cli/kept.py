"""What is kept in TP_CACHE_DIR, as plain data: every record, compiled code by backend, and their sizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from tpregistry.crashes import crash_files
from tpregistry.errors import TPError
from tpregistry.settings import current
from tpregistry.store import Record, Store, open_store
from tpregistry.store.code import CODE, code_root
from tpregistry.store.contents import code_files, leftover_files, total_bytes
from tpregistry.store.contents import remove as remove_files
from tpregistry.store.directory import VERSION


class UnknownDigest(TPError, LookupError):
    """No record, or more than one problem, has a digest that starts so; the message says which there are."""


def store() -> Store:
    """The store of the settings in force."""
    return open_store(current().cache_dir, current().plugins)


def code() -> list[Path]:
    """Every file of compiled code."""
    return code_files(code_root(current()))


def records_of(prefix: str) -> dict[Path, Record]:
    """The records, by file, of the one problem whose digest starts so, one for each environment. Raises UnknownDigest."""
    if not re.fullmatch("[0-9a-f]{4,24}", prefix):
        raise UnknownDigest(
            f"{prefix!r} is no digest: give the first 4 to 24 of its hex digits, as `tpregistry cache ls` shows them"
        )
    records = store().files()
    found = {path: record for path, record in records.items() if record.problem.digest.startswith(prefix)}
    digests = sorted({record.problem.digest for record in found.values()})
    if not found:
        place = f"the {len(records)} records in {store().root}"
        raise UnknownDigest(f"none of {place} has a digest that starts with {prefix}; see `tpregistry cache ls`")
    if len(digests) > 1:
        raise UnknownDigest(f"{len(digests)} records start with {prefix}: {', '.join(digests)}")
    return found


def everything() -> dict[str, Any]:
    """The folder with all records, newest first, and code by backend."""
    files = sorted(store().files().items(), key=lambda item: item[1].created, reverse=True)
    backends: dict[str, list[Path]] = {}
    for path in code():
        backends.setdefault(path.parent.name, []).append(path)
    kept = [{"backend": name, "files": len(paths), "bytes": total_bytes(paths)} for name, paths in backends.items()]
    return {"folder": str(store().root), "records": [_row(*item) for item in files], "code": kept}


def _row(path: Path, record: Record) -> dict[str, Any]:
    said = {name: getattr(record, name) for name in ("winner", "host", "created", "batch", "environment")}
    ratio = record.ratio(record.winner) if record.winner else None
    size = {"ratio": ratio, "bytes": total_bytes([path])}
    return {"digest": record.problem.digest, "problem": str(record.problem)} | said | size


class Kept(NamedTuple):
    """Files that a command removes."""

    records: list[Path]
    code: list[Path]
    leftovers: list[Path]
    """Of writers that were killed, and of backends that ended a process."""


def chosen(*, records: bool, code: bool) -> Kept:
    """All records, all code, or both, with what killed writers have left beside them; crashes go with records."""
    root = store().root
    found = list(store().files()) if records else [], code_files(code_root(current())) if code else []
    left = leftover_files(root, VERSION) + crash_files(root) if records else []
    return Kept(*found, left + (leftover_files(code_root(current()), CODE) if code else []))


def measured(files: Kept) -> dict[str, int]:
    """How many files there are of each, and what they take."""
    counts = {"records": len(files.records), "record_bytes": total_bytes(files.records)}
    counts |= {"code_files": len(files.code), "code_bytes": total_bytes(files.code)}
    return counts | {"leftovers": len(files.leftovers), "leftover_bytes": total_bytes(files.leftovers)}


def remove(files: Kept) -> dict[str, int]:
    """Remove files, and say what that freed. Raises TPError where the folder cannot be written."""
    counts = measured(files)
    try:
        remove_files([path for kind in files for path in kind])
    except OSError as error:
        raise TPError(f"{error.filename} cannot be removed ({error.strerror}); whose file is it?") from None
    return counts
