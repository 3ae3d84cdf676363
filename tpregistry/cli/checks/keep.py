"""The folder of records: can it be written, what is in it, and is anything in it not a record?"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from tpregistry import trust
from tpregistry.cli.checks.check import Check
from tpregistry.settings import Settings
from tpregistry.store import Record, Store, open_store
from tpregistry.store.code import CODE, CURE, code_root

AREA = "Store"


def store_checks(settings: Settings) -> list[Check]:
    """Place, access and contents of the user's records."""
    store = open_store(settings.cache_dir, settings.plugins)
    records, complaints = read_all(store)
    environments = len({tuple(sorted(record.environment.items())) for record in records})
    count = f"{len(records)} records of {environments} environments" if records else "no records yet"
    faults = [Check(AREA, "warn", text, "delete the file; the problem is tuned anew when it is met") for text in complaints]
    return [_access(store.root), Check(AREA, "ok", count), *faults, *_code(settings)]


def read_all(store: Store) -> tuple[list[Record], list[str]]:
    """Every valid record, and what the store complains of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        records = store.records()
    return records, [str(warning.message).removeprefix("tpregistry: ").split(";")[0] for warning in caught]


def _code(settings: Settings) -> list[Check]:
    """Compiled code is loaded from where nobody else can write: said only where somebody can."""
    folder = code_root(settings) / CODE
    why = trust.fault(folder)
    text = f"compiled code in {folder} is neither used nor kept, it is compiled anew in each process: {why}"
    return [Check(AREA, "warn", text, CURE)] if why else []


def _access(root: Path) -> Check:
    """A folder that is not there yet is made when the first record is kept, so its nearest parent counts."""
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not existing.is_dir():
        return Check(AREA, "fail", f"{existing} is a file, not a folder", "let TP_CACHE_DIR name a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Check(AREA, "fail", f"{root} cannot be written: records last for one process only", "let TP_CACHE_DIR name another")
    return Check(AREA, "ok", f"{root}" + ("" if existing == root else " (made when first needed)"))
