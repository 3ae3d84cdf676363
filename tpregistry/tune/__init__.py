"""Measuring: candidates that pass the gate race against the host, and the race becomes a record."""

from tpregistry.tune.tuner import Bench, Contestant, check_alone, tune

__all__ = ["Bench", "Contestant", "check_alone", "tune"]
