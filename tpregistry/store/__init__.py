"""What tuning found, kept: records in a directory of atomic JSON files."""

from tpregistry.store.code import code_folder
from tpregistry.store.directory import Store, open_store
from tpregistry.store.record import Entry, Outcome, Record

__all__ = ["Entry", "Outcome", "Record", "Store", "code_folder", "open_store"]
