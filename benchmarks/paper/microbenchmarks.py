"""The microbenchmarks of "The Price of Freedom" on this machine, without what made them hard to read.

    python benchmarks/paper/microbenchmarks.py                                   MIMO, degrees 1 to 10
    python benchmarks/paper/microbenchmarks.py --setting SISO --degree 2 4 6 --patterns forward

SISO is V_L x V_L -> V_L, SIMO V_L x V_L -> X_2L, MIMO X_L x X_L -> X_2L, one channel, 10,000 samples, float32; X_L has one irrep of
each degree to L, of natural parity (outputs of the curl: of the other). Contestants take turns in random order, first calls are
reported apart, ours pass the gate before, and a case in which no path leads anywhere is refused (V_L x V_L -> V_L of odd L is one:
parity forbids it). Expressivity is that of the paths that are computed. "e3nn-jax" is the published form of Gaunt's product,
2 L + 1 by 4 L + 2 points, by e3nn-jax's own functions. Flagged (~) are times whose standard deviation is over a fifth of their
mean. "Double backward" is the pattern of training on forces: dy with a graph, then all gradients.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
from microbenchmarks_cases import BACKENDS, contestants, points, problems
from microbenchmarks_plot import plot
from microbenchmarks_report import Row, show

from tpregistry import expressivity
from tpregistry.backend import Kernel
from tpregistry.gate.cases import draw
from tpregistry.machine import cpu_model
from tpregistry.problem import Problem
from tpregistry.tune.race import sample

RESULTS = Path(__file__).parent.parent / "results"
SAMPLES = 10_000
"""As published."""

PATTERNS = ("forward", "backward", "double backward")

Case = tuple[Row, Problem, Kernel, str]
"""What is timed: a row to fill, its problem, its kernel and that one's framework."""


def cases(asked: argparse.Namespace, degree: int) -> list[Case]:
    """Of the products wanted at one degree. Raises ValueError where the setting has no path there."""
    found = problems(asked.setting, degree)
    for product in asked.product:
        if product not in found:
            print(f"L = {degree}: {product} has no path in {asked.setting}", file=sys.stderr)
    return [
        (_row(asked.setting, degree, product, found[product], name), found[product], kernel, framework)
        for product in filter(found.__contains__, asked.product)
        for name, (kernel, framework) in contestants(product, found[product], degree, set(asked.without)).items()
    ]


def _row(setting: str, degree: int, product: str, problem: Problem, name: str) -> Row:
    rank = expressivity.of_problem(problem)
    return Row(setting, degree, product, name, rank, len(problem.paths), points(name, problem, degree), 0.0, {}, {})


def alone(framework: str) -> Any:
    """The seam that times kernels by themselves: JAX's own times layers of a model around them."""
    module = import_module(f"tpregistry.{framework}.frame")
    return getattr(module, "ALONE", module.FRAME)


def measure(found: list[Case], pattern: str, asked: argparse.Namespace) -> None:
    """One pattern of all cases, in turns."""
    thunks = {}
    for row, problem, kernel, framework in found:
        operands = draw(problem, asked.samples, 0)
        thunks[row.name] = thunk = alone(framework).thunk(kernel, operands, "float32", "cpu", PATTERNS.index(pattern))
        row.prepare_seconds = round(max(row.prepare_seconds, _seconds(thunk)), 3)
    micros = sample(thunks, asked.rounds)
    for row, *_ in found:
        row.milliseconds[pattern] = round(float(np.median(micros[row.name])) / 1e3, 4)
        row.spread[pattern] = round(float(np.std(micros[row.name]) / np.mean(micros[row.name])), 2)


def _seconds(thunk: Callable[[], None]) -> float:
    start = time.perf_counter()
    thunk()
    return time.perf_counter() - start


def sweep(asked: argparse.Namespace) -> Iterator[list[Row]]:
    """Rows so far after every degree; one that the setting does not have is told and passed over."""
    rows: list[Row] = []
    for degree in asked.degree:
        try:
            found = cases(asked, degree)
        except ValueError as refusal:
            print(f"refused: {refusal}", file=sys.stderr)
            continue
        for pattern in asked.patterns:
            measure(found, pattern, asked)
        rows += [row for row, *_ in found]
        print(f"L = {degree}: done", file=sys.stderr)
        yield rows


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=("SISO", "SIMO", "MIMO"), default="MIMO")
    parser.add_argument("--degree", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--patterns", choices=PATTERNS, nargs="+", default=PATTERNS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--product", choices=BACKENDS, nargs="+", default=list(BACKENDS))
    parser.add_argument("--without", nargs="*", default=[], help="backends left out")
    return parser.parse_args()


def main() -> int:
    """Measure, print, keep, draw."""
    asked = arguments()
    rows, name = [], f"paper-{asked.setting.lower()}" + (f"-{asked.samples}" if asked.samples != SAMPLES else "")
    for rows in sweep(asked):
        kept = {"machine": machine(), "samples": asked.samples, "rows": [asdict(row) for row in rows]}
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    if not rows:
        return 1
    show(rows, asked.patterns, asked.samples)
    plot(rows, RESULTS / f"{name}.png")
    return 0


def machine() -> dict[str, Any]:
    """Where it ran."""
    versions = {name: metadata.version(name) for name in ("torch", "jax", "e3nn-jax", "numpy")}
    return {"cpu": cpu_model(), "cores": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS", ""), "versions": versions}


if __name__ == "__main__":
    sys.exit(main())
