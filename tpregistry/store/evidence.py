"""What evidence has to hold: the cases of the gate by name, without NumPy, which commands that only list do without."""

from __future__ import annotations

from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING

from tpregistry.layout import Layout
from tpregistry.problem import Problem

if TYPE_CHECKING:
    from tpregistry.store.record import Entry, Record

BATCHES = (2, 7, 12, 32)
"""Further numbers of samples: with 1 and 33 every residue of 4, full vectors and full blocks of 32."""

EVERYWHERE = 32
"""The one of them on which kernels are checked in every framework: one that compiles for each takes its time."""

LAYOUTS = tuple(layout for layout in Layout if layout is not Layout.DENSE)

QUANTITIES = {0: ("out",), 1: ("dx", "dy", "dw"), 2: ("ddx", "ddy", "ddw", "ddg")}
"""What is compared, by order of derivatives."""

TURNS = ("rotated", "inverted")


def checked_order(problem: Problem) -> int:
    """The gate covers second order wherever gradients are wanted at all."""
    return 2 if problem.derivatives else 0


def scale_factors(problem: Problem) -> tuple[float, float]:
    """Small and large inputs; float16 overflows beyond 65504, and a product of two scales must stay below."""
    return (0.1, 10.0) if problem.dtype == "float16" else (1e-3, 1e3)


@lru_cache(maxsize=256)
def required(problem: Problem) -> frozenset[str]:
    """Names of the checks without which evidence is not complete, in whatever framework."""
    cases = ["main", "repeated", "one sample", "no sample", f"{EVERYWHERE} samples", *LAYOUTS, *TURNS]
    cases += [f"scale {scale:g}" for scale in scale_factors(problem)]
    quantities = [name for order in range(checked_order(problem) + 1) for name in QUANTITIES[order]]
    return frozenset([f"{case} {name}" for case in cases for name in quantities] + [f"{turn} equivariance" for turn in TURNS])


def gap(problem: Problem, entry: Entry) -> str:
    """What is missing for a kernel to be called right, in words; empty where nothing is."""
    if entry.outcome != "ok":
        return f"was {entry.outcome}"
    missing = required(problem) - entry.evidence.keys()
    if missing:
        return f"lacks evidence ({len(missing)} checks, such as {min(missing)!r})"
    failed = [name for name, pair in entry.evidence.items() if not _within(*pair)]
    return f"was wrong ({failed[0]!r})" if failed else ""


def _within(error: float, tolerance: float) -> bool:
    return isfinite(tolerance) and 0 <= error <= tolerance


def flaw(record: Record) -> str:
    """Why the winner of a record cannot be one, in words; empty where it can, or where there is none."""
    if record.winner is None:
        return ""
    host, best = record.entry(record.host), record.entry(record.winner)
    if host is None or best is None:
        return f"it has a winner, {record.winner}, and no entry of {record.host if host is None else 'it'}"
    if best is host:
        return "" if host.outcome == "ok" else f"its winner {best.backend} was {host.outcome}"
    if not (best.timed_us and host.timed_us):
        return f"its winner {best.backend} was not measured against {host.backend}"
    found = gap(record.problem, best) or ("was refused" if best.reasons else "")
    return f"its winner {best.backend} {found}" if found else ""
