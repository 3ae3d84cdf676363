"""What tuning found, kept: records in a directory of atomic JSON files."""

from tpregistry.store.code import Code, open_code
from tpregistry.store.directory import Store, open_store
from tpregistry.store.record import Entry, Outcome, Record

__all__ = ["Code", "Entry", "Outcome", "Record", "Store", "open_code", "open_store"]
