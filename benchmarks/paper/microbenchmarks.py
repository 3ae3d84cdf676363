"""The microbenchmarks of "The Price of Freedom" on this machine, without what made them hard to read.

    python benchmarks/paper/microbenchmarks.py                                   MIMO, degrees 1 to 8
    python benchmarks/paper/microbenchmarks.py --setting SISO --degree 2 4 6 --patterns forward

SISO is V_L x V_L -> V_L, SIMO V_L x V_L -> X_2L, MIMO X_L x X_L -> X_2L, one channel, 10,000 samples, float32; X_L has one irrep of
each degree to L, of natural parity. Contestants take turns in random order, first calls are reported apart, ours pass the gate
before, and a case in which no path leads anywhere is refused (V_L x V_L -> V_L of odd L is one: parity forbids it). Expressivity
is that of the paths that are computed. "e3nn-jax" is the published form of Gaunt's product, 2 L + 1 by 4 L + 2 points, by
e3nn-jax's own functions. Flagged (~) are times whose standard deviation is over a fifth of their mean.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import e3nn_jax
import numpy as np
from rich.console import Console
from rich.table import Table
from tpregistry_gaunt import GtpFourier, GtpGrid, Mtp

from tpregistry import expressivity, products
from tpregistry.backend import Kernel
from tpregistry.building import build
from tpregistry.frame import Operands, frame
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.gate import Evidence, Yardstick, verify
from tpregistry.gate.cases import draw
from tpregistry.hosts import host_for
from tpregistry.machine import cpu_model
from tpregistry.problem import Mode, Problem
from tpregistry.so3.grids import half, product_degree
from tpregistry.tune.race import sample
from tpregistry_cg import CgDense, CgLlvm

RESULTS = Path(__file__).parent.parent / "results"
PATTERNS = ("forward", "backward", "double backward")
SAMPLES = 10_000
LONGEST = 20.0
"""Seconds of preparation beyond which a backend is left out, by its own estimate."""

PUBLISHED = "e3nn-jax, as published"
BACKENDS: dict[str, dict[str, tuple[Any, str]]] = {
    "Clebsch-Gordan": {"cg-llvm": (CgLlvm(), "torch"), "cg-dense": (CgDense(), "torch")},
    "Gaunt": {
        "gtp-grid": (GtpGrid(), "torch"),
        "gtp-grid, JAX": (GtpGrid(), "jax"),
        "gtp-fourier": (GtpFourier(), "torch"),
        "cg-llvm": (CgLlvm(), "torch"),
    },
    "matrix": {"mtp": (Mtp(), "torch"), "cg-llvm": (CgLlvm(), "torch")},
}


@dataclass
class Row:
    """One backend on one case: median milliseconds of each pattern, and what the first call took with all preparation."""

    setting: str
    degree: int
    product: str
    backend: str
    expressivity: int
    paths: int
    points: int
    prepare_seconds: float
    milliseconds: dict[str, float]
    spread: dict[str, float]


class Published:
    """To the grid, product, back: e3nn-jax's functions as the paper's code composes them; sqrt(4 pi) times the product."""

    engine = "XLA"

    def __init__(self, problem: Problem, degree: int) -> None:
        self._irreps = [e3nn_jax.Irreps(str(rep)) for rep in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out)]
        self._points = {"res_beta": 2 * degree + 1, "res_alpha": 4 * degree + 2, "quadrature": "gausslegendre", "fft": False}

    def __call__(self, x: Any, y: Any, w: Any) -> Any:
        """See `tpregistry.backend.Kernel`."""
        make: Any = e3nn_jax.IrrepsArray
        f, g = (e3nn_jax.to_s2grid(make(rep, operand), **self._points) for rep, operand in zip(self._irreps, (x, y), strict=False))
        found = e3nn_jax.from_s2grid(f * g, self._irreps[2], fft=False)
        return found.array / np.float32(np.sqrt(4 * np.pi))


def signals(first: int, last: int) -> str:
    """One irrep of each degree, of natural parity."""
    return "+".join(f"{l}{'eo'[l % 2]}" for l in range(first, last + 1))


def problems(setting: str, degree: int) -> dict[str, Problem]:
    """Each product in a setting; those without a path are refused."""
    one, every, twice = signals(degree, degree), signals(0, degree), signals(0, 2 * degree)
    irreps = {"SISO": (one, one, one), "SIMO": (one, one, twice), "MIMO": (every, every, twice)}[setting]
    found = {"Gaunt": products.gaunt(*irreps, "integral"), "matrix": products.matrix_product(*irreps, "integral")}
    if not found["Gaunt"].paths:
        raise ValueError(f"{setting} at degree {degree}: no path leads from {irreps[0]} x {irreps[1]} to {irreps[2]}")
    whole = problem_from_irreps(*irreps, Mode.UUU, shared_weights=True, dtype="float32")
    return {"Clebsch-Gordan": whole, **found}


def contestants(product: str, problem: Problem, degree: int, without: set[str]) -> dict[str, tuple[Kernel, str]]:
    """Kernels that pass the gate, each with its framework. Raises RuntimeError where one does not."""
    found: dict[str, tuple[Kernel, str]] = {}
    for name, (backend, framework) in BACKENDS[product].items():
        if name in without:
            continue
        if backend.supports(problem, "cpu", framework).build_seconds > LONGEST:
            print(f"  {name}: not built, by its own estimate over {LONGEST:.0f} s", file=sys.stderr)
            continue
        kernel, small = build(backend, problem, "cpu", framework), problem.at(batch=64, derivatives=1)
        evidence = frame(framework).isolated(partial(_gated, kernel, small, framework))
        if not evidence.ok:
            raise RuntimeError(f"{name} fails the gate on {problem}: {evidence.failures}")
        found[name] = kernel, framework
    if product == "Gaunt":
        found[PUBLISHED] = Published(problem, degree), "jax"
    return found


def _gated(kernel: Kernel, problem: Problem, framework: str) -> Evidence:
    return verify(kernel, Yardstick(problem, host_for(problem, framework, "cpu"), frame(framework), "cpu"))


def measure(setting: str, degree: int, patterns: tuple[str, ...], rounds: int, wanted: set[str], without: set[str]) -> list[Row]:
    """The products wanted of one setting and degree, in one interleaved run."""
    kernels, rows, thunks = {}, {}, {}
    for product, problem in problems(setting, degree).items():
        if product not in wanted:
            continue
        for name, found in contestants(product, problem, degree, without).items():
            kernels[product, name] = problem, *found
            points = 0 if product != "Gaunt" else _points(name, problem, degree)
            rank = expressivity.of_problem(problem)
            rows[product, name] = Row(setting, degree, product, name, rank, len(problem.paths), points, 0.0, {}, {})
    for pattern in patterns:
        for key, (problem, kernel, framework) in kernels.items():
            operands: Operands = draw(problem, SAMPLES, 0)
            thunk = frame(framework).thunk(kernel, operands, "float32", "cpu", PATTERNS.index(pattern))
            start = time.perf_counter()
            thunk()
            rows[key].prepare_seconds = round(max(rows[key].prepare_seconds, time.perf_counter() - start), 3)
            thunks[key] = thunk
        for key, micros in _in_turns(thunks, rounds).items():
            rows[key].milliseconds[pattern] = round(float(np.median(micros)) / 1e3, 4)
            rows[key].spread[pattern] = round(float(np.std(micros) / np.mean(micros)), 2)
    return list(rows.values())


def _in_turns(thunks: dict[Any, Callable[[], None]], rounds: int) -> dict[Any, list[float]]:
    names = {str(key): key for key in thunks}
    return {names[name]: found for name, found in sample({str(key): thunk for key, thunk in thunks.items()}, rounds).items()}


def _points(name: str, problem: Problem, degree: int) -> int:
    """Of the sphere at which signals are multiplied."""
    if name == PUBLISHED:
        return (2 * degree + 1) * (4 * degree + 2)
    degrees = [max(item.l for item in rep) for rep in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out)]
    return len(half("lebedev", product_degree(*degrees))) if name.startswith("gtp-grid") else 0


def show(rows: list[Row]) -> None:
    """A table for people."""
    table = Table(title=f"{rows[0].setting}, {SAMPLES:,} samples, one channel, float32")
    for header in ("L", "product", "backend", "expressivity", "points", "first call s", *PATTERNS, "forward / expressivity, µs"):
        table.add_column(header, justify="left" if header in ("product", "backend") else "right")
    for row in rows:
        times = [
            f"{row.milliseconds[p]:.2f}{'~' if row.spread[p] > 0.2 else ''}" if p in row.milliseconds else "" for p in PATTERNS
        ]
        each = f"{1e3 * row.milliseconds['forward'] / row.expressivity:.1f}" if "forward" in row.milliseconds else ""
        first = f"{row.prepare_seconds:.2f}"
        table.add_row(str(row.degree), row.product, row.backend, str(row.expressivity), str(row.points or ""), first, *times, each)
    Console(width=180).print(table)


def _time(row: Row, pattern: str) -> str:
    return f"{row.milliseconds[pattern]:.2f}{'~' if row.spread[pattern] > 0.2 else ''}" if pattern in row.milliseconds else ""


def plot(rows: list[Row], path: Path) -> None:
    """Time, and time per expressivity, by degree."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    for axes, divide in zip(figure.subplots(1, 2), (False, True), strict=True):
        for product, backend in dict.fromkeys((row.product, row.backend) for row in rows):
            mine = [row for row in rows if (row.product, row.backend) == (product, backend) and "forward" in row.milliseconds]
            values = [row.milliseconds["forward"] / (row.expressivity if divide else 1) for row in mine]
            axes.plot([row.degree for row in mine], values, "o-", label=f"{product}: {backend}", markersize=4)
        axes.set(xlabel="L", yscale="log", title="forward, ms" + (" per expressivity" if divide else ""))
        axes.grid(alpha=0.3, which="both")
    figure.axes[1].legend(fontsize=7, bbox_to_anchor=(1.02, 1), loc="upper left")
    figure.savefig(path, dpi=110)


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=("SISO", "SIMO", "MIMO"), default="MIMO")
    parser.add_argument("--degree", type=int, nargs="+", default=list(range(1, 9)))
    parser.add_argument("--patterns", choices=PATTERNS, nargs="+", default=PATTERNS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--product", choices=BACKENDS, nargs="+", default=list(BACKENDS))
    parser.add_argument("--without", nargs="*", default=[], help="backends left out")
    asked = parser.parse_args()
    rows: list[Row] = []
    for degree in asked.degree:
        rows += measure(asked.setting, degree, tuple(asked.patterns), asked.rounds, set(asked.product), set(asked.without))
        print(f"L = {degree}: done", file=sys.stderr)
    show(rows)
    versions = {name: metadata.version(name) for name in ("torch", "jax", "e3nn-jax", "numpy")}
    about = {"cpu": cpu_model(), "cores": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS", ""), "versions": versions}
    name = f"paper-{asked.setting.lower()}"
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    plot(rows, RESULTS / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
