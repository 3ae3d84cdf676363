"""Kernels on the products of real models: what each backend takes, beside e3nn and beside the least that memory allows.

    python benchmarks/kernels.py                            both batches, both dtypes (about 20 minutes on two cores)
    python benchmarks/kernels.py --batch 1 100 --rounds 9 --only sevennet

For each problem, batch and pattern (forward; forward and backward; the force pattern: dy with a graph, then all gradients
of both) every contestant takes a turn per round, in random order; medians. Backends pass the gate first. Contestants are
e3nn's two modes, TorchScript and eager, every backend that can do the problem, and ``copy``: a copy of as many bytes as
the forward reads and writes at least, into fresh memory, which is the floor. The C library allocates as it does by default.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from math import exp, log
from pathlib import Path
from statistics import median
from typing import Any

import torch
from contest import FRAME, HOSTS, contest
from kernels_plot import draw as plot
from rich.console import Console
from rich.table import Table

import tpregistry
from tpregistry import discovery, session
from tpregistry.gate.cases import draw
from tpregistry.problem import Mode, Problem, bucket
from tpregistry.testing import real_problems
from tpregistry_e3nn.adapter import Adapter

HERE = Path(__file__).parent
PATTERNS = ("forward", "backward", "force")
Thunk = Callable[[], object]


@dataclass
class Row:
    """One problem at one batch, dtype and pattern: seconds by contestant, medians of rounds, and peak memory in MiB."""

    problem: str
    mode: str
    paths: int
    dtype: str
    batch: int
    pattern: str
    seconds: dict[str, float]
    peak_mib: dict[str, float]
    floor_seconds: float
    build_seconds: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """How many times faster than the better of e3nn's modes."""
        return min(self.seconds[host] for host in HOSTS) / self.seconds[name]


def copier(problem: Problem, batch: int, device: str) -> tuple[Thunk, int]:
    """A copy of half of the bytes that the forward touches: reads and writes together are as many."""
    row = problem.irreps_in1.dim + problem.irreps_in2.dim + problem.irreps_out.dim
    row += 0 if problem.shared_weights else problem.weight_numel
    source = torch.ones(batch * row // 2, dtype=getattr(torch, problem.dtype), device=device)

    def copy() -> None:
        torch.empty_like(source).copy_(source)
        if source.is_cuda:
            torch.cuda.synchronize()

    return copy, row


def automatic(problem: Problem, batch: int, order: int, device: str) -> Any:
    """The kernel that TP_BACKEND=auto binds, after tuning with an empty store."""
    host = Adapter().host(problem, device)
    with tempfile.TemporaryDirectory() as folder, tpregistry.use("auto", budget=60, cache_dir=folder, log="off") as settings:
        decision = session.resolve(problem.at(batch=bucket(batch), derivatives=order), host, "torch", device, settings, batch)
    return decision.kernel or host.kernel


def measure(problem: Problem, name: str, kernels: dict[str, Any], batch: int, device: str, args: argparse.Namespace) -> list[Row]:
    """All patterns of one problem at one batch."""
    operands, rows = draw(problem, batch, 0), []
    for order, pattern in enumerate(PATTERNS):
        chosen = {"auto": automatic(problem, batch, order, device)} if args.auto else {}
        thunks: dict[str, Thunk] = {
            each: FRAME.thunk(kernel, operands, problem.dtype, device, order) for each, kernel in (kernels | chosen).items()
        }
        thunks["copy"] = copier(problem, batch, device)[0]
        peaks = {each: peak_mib(thunk, device) for each, thunk in thunks.items()}
        seconds = in_turns(thunks, args.rounds)
        mode = problem.paths[0].mode.value
        rows.append(Row(name, mode, len(problem.paths), problem.dtype, batch, pattern, seconds, peaks, seconds.pop("copy")))
    return rows


def in_turns(thunks: dict[str, Thunk], rounds: int) -> dict[str, float]:
    """Median seconds per call; short calls are repeated within a turn."""
    order, samples = random.Random(0), {name: [] for name in thunks}
    repeats = {name: max(1, min(50, int(2e-3 / max(timed(thunk, 1), 1e-7)))) for name, thunk in thunks.items()}
    for _ in range(rounds):
        for name in order.sample(sorted(thunks), len(thunks)):
            samples[name].append(timed(thunks[name], repeats[name]))
    return {name: median(values) for name, values in samples.items()}


def timed(thunk: Thunk, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        thunk()
    return (time.perf_counter() - start) / repeats


def peak_mib(thunk: Thunk, device: str) -> float:
    """How far resident memory, or that of a GPU, rises while a thunk runs (its second call); 0 where the system does not tell.

    Before, the C library gives back what it holds free.
    """
    thunk()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        thunk()
        return (torch.cuda.max_memory_allocated() - start) / 2**20
    ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0.0
    before = resident("VmRSS")
    thunk()
    return max(0.0, (resident("VmHWM") - before) / 1024)


def resident(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(key)))


def geometric_mean(values: list[float]) -> float:
    return exp(sum(map(log, values)) / len(values)) if values else float("nan")


def summary(rows: list[Row], backend: str) -> dict[str, dict[str, float]]:
    """For each dtype, batch and pattern of the `uvu` list: geometric mean and worst ratio of a backend to e3nn's better mode."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        if row.mode == Mode.UVU and backend in row.seconds:
            groups.setdefault(f"{row.dtype} B={row.batch} {row.pattern}", []).append(row.ratio(backend))
    return {key: {"mean": geometric_mean(found), "least": min(found), "rows": len(found)} for key, found in groups.items()}


def regret(rows: list[Row]) -> dict[str, float]:
    """How much longer what the tuner chose took than the best of all, in rounds that the tuner did not see."""
    shares = [
        row.seconds["auto"] / min(s for name, s in row.seconds.items() if name != "auto") for row in rows if "auto" in row.seconds
    ]
    return {"mean": geometric_mean(shares), "most": max(shares), "rows": len(shares)} if shares else {}


def table(rows: list[Row]) -> Table:
    """Milliseconds; ratios are to the better of e3nn's modes."""
    names = list(dict.fromkeys(name for row in rows for name in row.seconds if name not in HOSTS))
    shown = Table(
        box=None, padding=(0, 1), header_style="dim", title=f"{rows[0].dtype}, {rows[0].batch} samples", title_justify="left"
    )
    for heading in (
        "problem",
        "paths",
        "pattern",
        "copy ms",
        *(f"{host} ms" for host in HOSTS),
        *names,
        "% of copy's speed",
        "MiB",
    ):
        shown.add_column(heading, justify="left" if heading in ("problem", "pattern") else "right")
    for row in rows:
        ours = [f"{1e3 * row.seconds[n]:.2f} ({row.ratio(n):.1f}x)" if n in row.seconds else "-" for n in names]
        best = min((n for n in row.seconds if n not in HOSTS), key=row.seconds.__getitem__, default=HOSTS[0])
        share = f"{100 * row.floor_seconds / row.seconds[best]:.0f}" if row.pattern == "forward" else ""
        theirs = [f"{1e3 * row.seconds[host]:.2f}" for host in HOSTS]
        memory = f"{row.peak_mib[HOSTS[0]]:.0f} → {row.peak_mib[best]:.0f}"
        shown.add_row(row.problem, str(row.paths), row.pattern, f"{1e3 * row.floor_seconds:.2f}", *theirs, *ours, share, memory)
    return shown


def machine(device: str) -> dict[str, Any]:
    """What the numbers depend on."""
    peers = ("cuequivariance", "openequivariance", "e3j")
    wanted = ("tpregistry", "torch", "e3nn", "jax", "e3nn-jax", "llvmlite", "triton", "numpy", *peers)
    names = [name for name in wanted if discovery.installed_version(name)]
    described = FRAME.environment(device) | {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    return described | {"versions": {name: metadata.version(name) for name in names}, "allocator": "the C library's, as it comes"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--dtype", nargs="+", default=["float32", "float64"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="", help="problems whose name holds this")
    parser.add_argument("--without", nargs="*", default=[], help="backends to leave out")
    parser.add_argument("--auto", action="store_true", help="also what TP_BACKEND=auto binds for each row, tuned first")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no problem after this time")
    parser.add_argument("--name", default="kernels", help="of the result files")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def run(args: argparse.Namespace, console: Console, keep: Callable[[list[Row]], object]) -> list[Row]:
    """Every problem at every dtype and batch, a table for each of those; none is begun after the time that is given.

    What there is after a problem is kept: a run that is ended by a queue loses one.
    """
    deadline = time.perf_counter() + args.seconds
    rows: dict[tuple[str, int], list[Row]] = {}
    for dtype in args.dtype:
        for name, problem in real_problems(dtype).items():
            if args.only not in name or time.perf_counter() > deadline:
                continue
            found = contest(problem.at(batch=256), args.device, args.without)
            for batch in args.batch:
                for row in measure(problem, name, found.kernels, batch, args.device, args):
                    row.build_seconds, row.left_out = found.build_seconds, found.left_out
                    rows.setdefault((dtype, batch), []).append(row)
            print(f"{name}, {dtype}: done", file=sys.stderr, flush=True)
            keep([row for group in rows.values() for row in group])
    for group in rows.values():
        console.print(table(group), "")
    return [row for group in rows.values() for row in group]


def everything(rows: list[Row], where: dict[str, Any], begin: float) -> dict[str, Any]:
    """The result file."""
    means = {name: summary(rows, name) for name in dict.fromkeys(n for row in rows for n in row.seconds if n not in HOSTS)}
    found = {"machine": where, "seconds": time.time() - begin, "summary": means, "regret": regret(rows)}
    return found | {"rows": [vars(row) for row in rows]}


def main() -> int:
    os.environ["TP_CACHE_DIR"] = tempfile.mkdtemp()  # so that what is compiled is compiled here
    args, console = arguments(), Console(width=None if sys.stdout.isatty() else 190)
    begin, where = time.time(), machine(args.device)
    args.results.mkdir(parents=True, exist_ok=True)

    def keep(rows: list[Row]) -> dict[str, Any]:
        found = everything(rows, where, begin)
        (args.results / f"{args.name}.json").write_text(json.dumps(found, indent=1))
        return found

    found = keep(run(args, console, keep))
    for name, groups in found["summary"].items():
        for key, one in groups.items():
            console.print(
                f"{name:10s} {key:28s} {one['mean']:6.2f}x in geometric mean, least {one['least']:.2f}x, {one['rows']} products"
            )
    plot(found, args.results / f"{args.name}.png", "cg-llvm" if args.device == "cpu" else "cg-triton")
    return 0


if __name__ == "__main__":
    sys.exit(main())
