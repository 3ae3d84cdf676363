"""Measuring: candidates that pass the gate race against the host, and the race becomes a record."""

from tpregistry.tune.compare import PATTERNS, Comparison, compare
from tpregistry.tune.tuner import Bench, Contestant, check_alone, tune

__all__ = ["PATTERNS", "Bench", "Comparison", "Contestant", "check_alone", "compare", "tune"]
