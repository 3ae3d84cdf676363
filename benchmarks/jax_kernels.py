"""Products of real models in JAX: every backend beside e3nn-jax's own code, as its jitted programs call it.

    python benchmarks/jax_kernels.py                      (about 15 minutes on two cores)
    python benchmarks/jax_kernels.py --rounds 5 --only inner --without cg-dense cg-hoist cuequivariance-jax

`uvu` products are measured twice: as `e3nn_jax.tensor_product` with a filter, as most JAX models write them (weights multiply
its result), and, as all others, as `FunctionalTensorProduct` with weights, mapped over samples. Forward, forward and
backward, and the force pattern; contestants take turns, in random order; medians. Each backend passes the gate first.
Seconds of compilation are of the pattern's first call.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib import metadata
from itertools import product
from math import exp, log
from pathlib import Path
from statistics import median
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from tpregistry import discovery
from tpregistry.frame import Host, frame
from tpregistry.gate import Yardstick, verify
from tpregistry.gate.cases import draw
from tpregistry.machine import cores, cpu_model
from tpregistry.problem import Mode, Problem
from tpregistry.settings import current
from tpregistry.testing import real_problems
from tpregistry.tune.race import sample
from tpregistry_e3nn_jax.host import host_of
from tpregistry_e3nn_jax.products import read_tensor_product

HERE = Path(__file__).parent
PATTERNS = ("forward", "backward", "force")
HOST = "e3nn_jax"
FRAME = frame("jax")


@dataclass
class Row:
    """One product and pattern: seconds per call, and of the first call, by contestant."""

    problem: str
    mode: str
    paths: int
    batch: int
    pattern: str
    seconds: dict[str, float]
    compile_seconds: dict[str, float] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """How many times faster than the host."""
        return self.seconds[HOST] / self.seconds[name]


def forms(problem: Problem) -> dict[str, tuple[Problem, Host]]:
    """The ways in which a JAX program may call the product."""
    found = {"functional": (problem, host_of(problem))}
    return found | ({"called": as_called(problem)} if problem.paths[0].mode is Mode.UVU else {})


def as_called(problem: Problem) -> tuple[Problem, Host]:
    """`tensor_product` keeping the irreps of the output."""
    x, y = (e3nn.IrrepsArray(str(rep), jnp.ones((1, rep.dim), jnp.float32)) for rep in (problem.irreps_in1, problem.irreps_in2))
    keep = sorted({ir for _, ir in e3nn.Irreps(str(problem.irreps_out))})
    reading = read_tensor_product(x, y, filter_ir_out=keep)
    return reading.found.problem.at(derivatives=2), reading.host


def contestants(problem: Problem, host: Host, without: list[str]) -> dict[str, Any]:
    """The host, and the kernels that pass the gate."""
    kernels: dict[str, Any] = {HOST: host.kernel}
    yardstick = Yardstick(problem, host, FRAME, "cpu")
    for name, plugin in discovery.backends(current()).items():
        backend = plugin.backend
        if name in without or plugin.trouble or plugin.face.host or "jax" not in plugin.face.frameworks:
            continue
        if not backend.supports(problem, "cpu", "jax").ok:
            continue
        kernel = backend.build(problem, "cpu", "jax")
        evidence = verify(kernel, yardstick)
        if evidence.ok:
            kernels[name] = kernel
        else:
            print(f"{name} fails the gate on {problem}: {evidence.failures}", file=sys.stderr)
    return kernels


def measure(name: str, problem: Problem, kernels: dict[str, Any], batch: int, rounds: int) -> list[Row]:
    """All patterns of one product."""
    operands, rows = draw(problem, batch, 0), []
    for order, pattern in enumerate(PATTERNS):
        thunks = {each: FRAME.thunk(kernel, operands, problem.dtype, "cpu", order) for each, kernel in kernels.items()}
        first = {each: timed(thunk) for each, thunk in thunks.items()}
        seconds = {each: median(samples) / 1e6 for each, samples in sample(thunks, rounds).items()}
        rows.append(Row(name, problem.paths[0].mode.value, len(problem.paths), batch, pattern, seconds, first))
    return rows


def timed(thunk: Any) -> float:
    start = time.perf_counter()
    thunk()
    return time.perf_counter() - start


def mean(values: list[float]) -> float:
    return exp(sum(map(log, values)) / len(values)) if values else float("nan")


def summary(rows: list[Row]) -> dict[str, dict[str, Any]]:
    """For each backend and pattern: geometric mean and least of the ratios to the host."""
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row.seconds if name != HOST):
        for form, pattern in product(("called", "functional"), PATTERNS):
            chosen = [row for row in rows if row.pattern == pattern and row.problem.endswith(form) and name in row.seconds]
            ratios = [row.ratio(name) for row in chosen]
            slower = [row.compile_seconds[name] / row.compile_seconds[HOST] for row in chosen]
            if not chosen:
                continue
            found[f"{name} {form} {pattern}"] = {
                "mean": mean(ratios),
                "least": min(ratios),
                "compile": mean(slower),
                "rows": len(ratios),
            }
    return found


def show(rows: list[Row]) -> None:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    names = list(dict.fromkeys(name for row in rows for name in row.seconds))
    for heading in ("product", "pattern", *names):
        table.add_column(heading, justify="left" if heading in ("product", "pattern") else "right")
    for row in rows:
        cells = (f"{1e3 * row.seconds[n]:.2f} ms {row.ratio(n):.1f}x" if n in row.seconds else "" for n in names)
        table.add_row(f"{row.problem} ({row.mode}, {row.paths})", row.pattern, *cells)
    Console(width=170).print(table)
    for key, found in summary(rows).items():
        print(f"{key}: {found['mean']:.2f}x e3nn-jax, least {found['least']:.2f}x; first call {found['compile']:.2f} of its")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", default="", help="part of a product's name")
    parser.add_argument("--without", nargs="*", default=[], help="backends to leave out")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name, real in real_problems("float32").items():
        if arguments.only in name:
            for form, (problem, host) in forms(real.at(batch=64)).items():
                found = contestants(problem, host, arguments.without)
                rows += measure(f"{name}, {form}", problem, found, arguments.batch, arguments.rounds)
                show(rows[-3:])
    show(rows)
    versions = {name: metadata.version(name) for name in ("jax", "jaxlib", "e3nn-jax", "numpy", "llvmlite")}
    machine = {"cpu": cpu_model(), "cores": cores()}
    data = {"machine": machine, "versions": versions, "summary": summary(rows), "rows": [asdict(row) for row in rows]}
    (HERE / "results" / "jax.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    with jax.enable_x64(True):  # the gate's reference
        main()
