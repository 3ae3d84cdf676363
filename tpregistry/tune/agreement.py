"""The timed calls themselves: what they compute, on the batch that is timed and with the derivatives that are, is the host's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tpregistry.frame import Array
from tpregistry.gate.cases import ODD
from tpregistry.store.record import Entry

if TYPE_CHECKING:
    from tpregistry.tune.tuner import Bench

SLACK = 8.0
"""Both kernels err, and the largest error of many samples is larger than that of the gate's few; what is wrong here is wrong by
whole rows."""


def disagreements(bench: Bench, calls: Mapping[str, Callable[[], Any]], entries: Mapping[str, Entry], batch: int) -> dict[str, str]:
    """Reasons against those whose results are not the host's, by name; what a call raises is one too."""
    expected = bench.frame.numbers(calls[bench.host.name]())
    found = {}
    for name, call in calls.items():
        if name == bench.host.name:
            continue
        try:
            error = max(map(_error, bench.frame.numbers(call()), expected), default=0.0)
        except (Exception, SystemExit) as raised:  # as in the gate
            found[name] = f"TP180 raised {type(raised).__name__} on {batch} samples: {raised}"
            continue
        allowed = SLACK * max(1.0, batch / ODD) ** 0.5 * _allowed(entries[name])
        if not error <= allowed:
            found[name] = f"TP190 wrong: {batch} samples, as timed: error {error:.1e} > {allowed:.1e}"
    return found


def _allowed(entry: Entry) -> float:
    """The largest tolerance of the main case."""
    return max((pair[1] for check, pair in entry.evidence.items() if check.startswith("main ")), default=0.0)


def _error(ours: Array, theirs: Array) -> float:
    """The largest in units of the root mean square; infinite where shapes differ, none where the host's own overflow."""
    if ours.shape != theirs.shape:
        return float("inf")
    unit = float(np.sqrt(np.mean(np.square(theirs)))) if theirs.size else 0.0
    if not np.isfinite(unit):
        return 0.0
    return float(np.max(np.abs(ours - theirs), initial=0.0)) / (unit or 1.0)
