"""Checking: a kernel is right when it errs no more than a small multiple of the host's own error, everywhere."""

from tpregistry.gate.gate import Check, Evidence, Yardstick, verify

__all__ = ["Check", "Evidence", "Yardstick", "verify"]
