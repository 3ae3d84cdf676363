"""Products of real models in JAX: every backend beside e3nn-jax's own code, as its jitted programs call it.

    python benchmarks/jax_kernels.py                      (about 40 minutes on two cores)
    python benchmarks/jax_kernels.py --rounds 5 --only inner --without cg-dense cg-hoist cuequivariance-jax

`uvu` products are measured twice: as `e3nn_jax.tensor_product` with a filter, as most JAX models write them (weights multiply
its result), and, as all others, as `FunctionalTensorProduct` with weights, mapped over samples. Forward, forward and
backward, and the force pattern (forces by all that has a row per sample), each of the kernel alone; what becomes of it in a model
shows `jax_model.py`. Contestants take turns, in random order; medians. Each backend passes the gate first. `auto`
is what the tuner chooses, in the times of this very run. Seconds of compilation are of the pattern's first call, in a process
that finds kernels on disk and has compiled nothing yet. Dispatch is what tracing a call takes beyond tracing its kernel's own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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

import tpregistry
from tpregistry import discovery, session
from tpregistry.frame import Host
from tpregistry.gate import Yardstick, verify
from tpregistry.gate.cases import draw
from tpregistry.jax.frame import ALONE as FRAME
from tpregistry.machine import cores, cpu_model
from tpregistry.problem import Mode, Problem, bucket
from tpregistry.settings import current
from tpregistry.testing import real_problems
from tpregistry.tune.race import sample
from tpregistry_e3nn_jax.adapter import Adapter
from tpregistry_e3nn_jax.host import host_of
from tpregistry_e3nn_jax.products import read_tensor_product

HERE = Path(__file__).parent
PATTERNS = ("forward", "backward", "force")
HOST = "e3nn_jax"


@dataclass
class Row:
    """One product and pattern: seconds per call, and of the first call, by contestant."""

    problem: str
    mode: str
    paths: int
    batch: int
    pattern: str
    seconds: dict[str, float]
    chosen: str
    compile_seconds: dict[str, float] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """The contestant that a name means here."""
        return self.chosen if name == "auto" else name

    def ratio(self, name: str) -> float:
        """How many times faster than the host."""
        return self.seconds[HOST] / self.seconds[self.of(name)]


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
    names = [name for name, plugin in discovery.backends(current()).items() if name not in without and not plugin.trouble]
    for name, backend in able_backends(problem, names):
        kernel = backend.build(problem, "cpu", "jax")
        evidence = verify(kernel, yardstick)
        if evidence.ok:
            kernels[name] = kernel
        else:
            print(f"{name} fails the gate on {problem}: {evidence.failures}", file=sys.stderr)
    return kernels


def able_backends(problem: Problem, names: list[str]) -> Iterator[tuple[str, Any]]:
    """Those of ``names`` that can do the problem and that `auto` would try."""
    for name in names:
        plugin = discovery.backends(current())[name]
        if not plugin.face.host and "jax" in plugin.face.frameworks and problem.operation in plugin.face.operations:
            verdict = plugin.backend.supports(problem, "cpu", "jax")
            if verdict.ok and not verdict.on_request:
                yield name, plugin.backend


def products(only: str) -> Iterator[tuple[str, Problem, Host]]:
    """Every product in every form, by name."""
    for name, real in real_problems("float32").items():
        if only in name:
            for form, (problem, host) in forms(real.at(batch=64)).items():
                yield f"{name}, {form}", problem, host


def measure(name: str, problem: Problem, host: Host, kernels: dict[str, Any], batch: int, rounds: int) -> list[Row]:
    """All patterns of one product."""
    operands, rows, chosen = draw(problem, batch, 0), [], choice(problem, host, batch)
    for order, pattern in enumerate(PATTERNS):
        thunks = {each: FRAME.thunk(kernel, operands, problem.dtype, "cpu", order) for each, kernel in kernels.items()}
        seconds = {each: median(samples) / 1e6 for each, samples in sample(thunks, rounds).items()}
        best = chosen if chosen in seconds else HOST
        rows.append(Row(name, problem.paths[0].mode.value, len(problem.paths), batch, pattern, seconds, best))
    return rows


def choice(problem: Problem, host: Host, batch: int) -> str:
    """What `auto` decides for, in a program that trains on energies."""
    asked = problem.at(batch=bucket(batch), derivatives=1, precision="highest")
    with tempfile.TemporaryDirectory() as folder, tpregistry.use("auto", cache_dir=folder, budget=60, log="off"):
        return session.resolve(asked, host, "jax", "cpu", current(), batch).backend


def first_calls(names: list[str], arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds of the first call by product, pattern and contestant; kernels are built and not checked."""
    found = {}
    for name, problem, host in products(arguments.only):
        operands = draw(problem, arguments.batch, 0)
        able = {HOST: host.kernel} | {each: backend.build(problem, "cpu", "jax") for each, backend in able_backends(problem, names)}
        for order, pattern in enumerate(PATTERNS):
            for each, kernel in able.items():
                found[f"{name}; {pattern}; {each}"] = timed(FRAME.thunk(kernel, operands, problem.dtype, "cpu", order))
    return found


def in_a_new_process(rows: list[Row], arguments: argparse.Namespace) -> None:
    """Add the first calls of a process that finds the kernels of this one on disk."""
    names = list(dict.fromkeys(name for row in rows for name in row.seconds if name != HOST))
    command = [sys.executable, __file__, "--batch", str(arguments.batch), "--only", arguments.only, "--first-calls", *names]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = json.loads(done.stdout.splitlines()[-1])
    for row in rows:
        row.compile_seconds = {name: seconds[f"{row.problem}; {row.pattern}; {name}"] for name in row.seconds}


def dispatch(problem: Problem) -> float:
    """Milliseconds of tracing a call beyond tracing the bound kernel's: reading the call, and looking its decision up."""
    x, y = (e3nn.IrrepsArray(str(rep), jnp.ones((64, rep.dim), jnp.float32)) for rep in (problem.irreps_in1, problem.irreps_in2))
    keep, w, adapter = sorted({ir for _, ir in e3nn.Irreps(str(problem.irreps_out))}), jnp.zeros((0,), jnp.float32), Adapter()

    def call(a: Any, b: Any) -> Any:
        return e3nn.tensor_product(e3nn.IrrepsArray(x.irreps, a), e3nn.IrrepsArray(y.irreps, b), filter_ir_out=keep).array

    adapter.patch()
    with tpregistry.use("cg-llvm", log="off"):
        session.forget()
        jax.eval_shape(call, x.array, y.array)
        (decision,) = session.made
        whole, kernel = (traced(f, x.array, y.array) for f in (call, lambda a, b: decision.kernel(a, b, w)))
    adapter.unpatch()
    return 1e3 * (whole - kernel)


def traced(function: Any, *operands: Any) -> float:
    """Least seconds of tracing a function anew."""
    return min(timed(lambda: jax.make_jaxpr(lambda *given: function(*given))(*operands)) for _ in range(50))


def timed(thunk: Any) -> float:
    start = time.perf_counter()
    thunk()
    return time.perf_counter() - start


def mean(values: list[float]) -> float:
    return exp(sum(map(log, values)) / len(values)) if values else float("nan")


def summary(rows: list[Row]) -> dict[str, dict[str, Any]]:
    """For each backend and pattern: geometric mean and least of the ratios to the host."""
    found = {}
    for name in ("auto", *dict.fromkeys(name for row in rows for name in row.seconds if name != HOST)):
        for form, pattern in product(("called", "functional"), PATTERNS):
            chosen = [row for row in rows if row.pattern == pattern and row.problem.endswith(form) and row.of(name) in row.seconds]
            ratios = [row.ratio(name) for row in chosen]
            slower = [row.compile_seconds[row.of(name)] / row.compile_seconds[HOST] for row in chosen if row.compile_seconds]
            if not chosen:
                continue
            found[f"{name} {form} {pattern}"] = {
                "mean": mean(ratios),
                "least": min(ratios),
                "compile": mean(slower),
                "slowest compile": max(slower, default=float("nan")),
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


def show_summary(rows: list[Row]) -> None:
    for key, found in summary(rows).items():
        print(f"{key}: {found['mean']:.2f}x e3nn-jax, least {found['least']:.2f}x; first call {found['compile']:.2f} of its")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", default="", help="part of a product's name")
    parser.add_argument("--without", nargs="*", default=[], help="backends to leave out")
    parser.add_argument("--first-calls", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--name", default="jax", help="of the result file")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    if arguments.first_calls is not None:
        print(json.dumps(first_calls(arguments.first_calls, arguments)))
        return
    arguments.results.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for name, problem, host in products(arguments.only):
        found = contestants(problem, host, arguments.without)
        rows += measure(name, problem, host, found, arguments.batch, arguments.rounds)
        show(rows[-3:])
    in_a_new_process(rows, arguments)
    dispatches = {name: dispatch(problem) for name, problem, _ in products(arguments.only) if name.endswith("called")}
    show(rows)
    show_summary(rows)
    print("dispatch, ms a call site: " + ", ".join(f"{name} {ms:.2f}" for name, ms in dispatches.items()))
    versions = {name: metadata.version(name) for name in ("jax", "jaxlib", "e3nn-jax", "numpy", "llvmlite")}
    machine = {"cpu": cpu_model(), "cores": cores()}
    data = {"machine": machine, "versions": versions, "summary": summary(rows), "dispatch_ms": dispatches}
    data["rows"] = [asdict(row) for row in rows]
    (arguments.results / f"{arguments.name}.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    with jax.enable_x64(True):  # the gate's reference
        main()
