"""Convolutions on neighbour lists of crystals: gather, product, sum into receivers, fused and not.

    python benchmarks/convolutions.py                        three crystals, five products (a quarter of an hour on two cores)
    python benchmarks/convolutions.py --only nequip --rounds 3

Contestants take turns in random order; medians. They are e3nn's two modes between torch's `index_select` and `index_add`,
our compiled backend's product between the same (cg-llvm; on a GPU cg-triton), and its convolution; both pass the gate first.
Memory is how far resident memory rises in a call. Each graph's order of edges is made once and kept, as where a model's layers
share their neighbours; ``order`` says what making it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from contest import FRAME, HOSTS, Contest, contest, host_modules
from kernels import HERE, PATTERNS, geometric_mean, in_turns, machine, peak_mib
from rich.console import Console
from rich.table import Table

from tpregistry.frame import Operands
from tpregistry.gate import Yardstick
from tpregistry.gate.cases import draw
from tpregistry.graph import Edges
from tpregistry.problem import Problem, bucket
from tpregistry.testing import real_problems
from tpregistry.torch.convolution import Unfused
from tpregistry.torch.graph import Graph
from tpregistry_cg import CgLlvm, CgTriton

PRODUCTS = ("mace layer 1", "mace-mp-0 medium layer 2", "sevennet-0 inner", "nequip with parity", "sevennet-l3i5 inner")
FUSED = {"cpu": CgLlvm(), "cuda": CgTriton()}


def crystals(small: bool) -> dict[str, tuple[Atoms, float]]:
    """Atoms, displaced a little, and a cutoff in Å that models of them use; where small, one cell of each."""
    cells = {
        "NaCl": (bulk("NaCl", "rocksalt", a=5.64, cubic=True), 3, 5.0),
        "Cu": (bulk("Cu", "fcc", a=3.61, cubic=True), 4, 5.0),
        "Si": (bulk("Si", "diamond", a=5.43, cubic=True), 3, 6.0),
    }
    found = {}
    for name, (cell, repeats, cutoff) in cells.items():
        atoms = cell.repeat(1 if small else repeats)
        atoms.rattle(0.05, seed=0)
        found[f"{name}, {len(atoms)} atoms"] = atoms, cutoff
    return found


def edges_of(atoms: Atoms, cutoff: float) -> Edges:
    """Every pair within the cutoff, both ways, by receiver as ASE lists them."""
    receivers, senders = neighbor_list("ij", atoms, cutoff)
    return Edges(senders.astype(np.int64), receivers.astype(np.int64), len(atoms), len(atoms))


@dataclass
class Row:
    """One product on one graph: seconds and peak MiB by contestant."""

    crystal: str
    edges: int
    nodes: int
    problem: str
    paths: int
    pattern: str
    seconds: dict[str, float]
    peak_mib: dict[str, float]

    def ratio(self, name: str) -> float:
        """How many times faster than the better of e3nn's modes."""
        return min(self.seconds[host] for host in HOSTS) / self.seconds[name]

    def memory(self, name: str) -> float:
        """Its peak over that of e3nn's better mode in memory."""
        return self.peak_mib[name] / min(self.peak_mib[host] for host in HOSTS)


def ours(device: str) -> tuple[str, str]:
    """Our compiled backend there, as a product between gather and sum, and fused."""
    name = FUSED[device].face.name
    return f"{name}, not fused", name


def contestants(problem: Problem, device: str, peers: bool) -> dict[str, Any]:
    """Kernels of the convolution by name; all but e3nn's pass the gate. Raises RuntimeError where one of ours does not."""
    checked = problem.at(batch=256, nodes=16)
    if peers:
        found = contest(checked, device, [])
    else:
        found = Contest({name: host.kernel for name, host in host_modules(checked, device).items()})
    yardstick = Yardstick(checked, host_modules(checked, device)[HOSTS[0]], FRAME, device)
    unfused, fused = ours(device)
    found.admit(unfused, Unfused(FUSED[device].build(problem.product, device)), yardstick)
    if fused not in found.kernels:
        found.admit(fused, FUSED[device].build(problem, device), yardstick)
    if found.left_out.keys() & {unfused, fused}:
        raise RuntimeError(str(found.left_out))
    return found.kernels


def operands_on(problem: Problem, edges: Edges) -> Operands:
    """Random operands of a real graph."""
    count, drawn = len(edges.senders), draw(problem, len(edges.senders), 0).values
    generator = np.random.default_rng(0)
    nodes = {name: generator.standard_normal((edges.nodes, drawn[name].shape[1])) for name in ("x", "a", "g")}
    assert all(len(drawn[name]) == count for name in ("y", "w"))
    return Operands(drawn | nodes, graph=edges)


def measure(crystal: str, edges: Edges, name: str, rounds: int, device: str, peers: bool) -> list[Row]:
    """All patterns of one product on one graph."""
    count = len(edges.senders)
    problem = real_problems("float32")[name].convolution(bucket(edges.nodes)).at(batch=bucket(count))
    kernels, operands, rows = contestants(problem, device, peers), operands_on(problem, edges), []
    for order, pattern in enumerate(PATTERNS):
        thunks = {each: FRAME.thunk(kernel, operands, "float32", device, order) for each, kernel in kernels.items()}
        peaks = {each: peak_mib(thunk, device) for each, thunk in thunks.items()}
        rows.append(Row(crystal, count, edges.nodes, name, len(problem.paths), pattern, in_turns(thunks, rounds), peaks))
    return rows


def order_seconds(edges: Edges, rounds: int, device: str) -> dict[str, float]:
    """What it takes to look at a graph: one that was seen, and both of its orders where it was not."""
    senders, receivers = (torch.from_numpy(index).to(device) for index in (edges.senders, edges.receivers))
    known = Graph(senders.clone(), receivers.clone(), edges.sending, edges.nodes)

    def anew() -> None:
        made = Graph(senders, receivers, edges.sending, edges.nodes)
        made.order("sender")
        made.order("receiver")

    return in_turns({"known": lambda: known.equals(senders, receivers, edges.sending, edges.nodes), "new": anew}, rounds)


def table(rows: list[Row], device: str) -> Table:
    """Milliseconds, ratios to the better of e3nn's modes, MiB."""
    shown = Table(box=None, padding=(0, 1), header_style="dim", title="float32, ms (times e3nn) and peak MiB", title_justify="left")
    names = contestants_of(rows)
    for heading in ("crystal", "edges", "product", "paths", "pattern", *HOSTS, *names, "MiB e3nn", "MiB fused"):
        shown.add_column(heading, justify="left" if heading in ("crystal", "product", "pattern") else "right")
    for row in rows:
        theirs = [f"{1e3 * row.seconds[host]:.1f}" for host in HOSTS]
        mine = [f"{1e3 * row.seconds[n]:.2f} ({row.ratio(n):.1f}x)" if n in row.seconds else "-" for n in names]
        memory = [f"{min(row.peak_mib[host] for host in HOSTS):.0f}", f"{row.peak_mib[ours(device)[1]]:.0f}"]
        shown.add_row(row.crystal, str(row.edges), row.problem, str(row.paths), row.pattern, *theirs, *mine, *memory)
    return shown


def contestants_of(rows: list[Row]) -> list[str]:
    """All but e3nn."""
    return list(dict.fromkeys(name for row in rows for name in row.seconds if name not in HOSTS))


def summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    """For each contestant and each pattern: mean and least ratio, largest share of e3nn's memory."""
    found = {}
    for name in contestants_of(rows):
        for pattern in PATTERNS:
            chosen = [row for row in rows if row.pattern == pattern and name in row.seconds]
            ratios = [row.ratio(name) for row in chosen]
            memory = max(row.memory(name) for row in chosen)
            found[f"{name} {pattern}"] = {"mean": geometric_mean(ratios), "least": min(ratios), "memory": memory}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=list(FUSED))
    parser.add_argument("--name", default="convolutions", help="of the result file")
    parser.add_argument("--only", default="", help="products whose name holds this")
    parser.add_argument("--small", action="store_true", help="one cell of each crystal, to see that everything runs")
    parser.add_argument("--peers", action="store_true", help="also every other backend, its product between gather and sum")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after this time")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    args, console = parser.parse_args(), Console(width=None if sys.stdout.isatty() else 190)
    os.environ["TP_CACHE_DIR"] = tempfile.mkdtemp()
    begin, where, rows, orders = time.time(), machine(args.device), [], {}
    for crystal, (atoms, cutoff) in crystals(args.small).items():
        edges = edges_of(atoms, cutoff)
        orders[crystal] = order_seconds(edges, args.rounds, args.device)
        for name in (name for name in PRODUCTS if args.only in name):
            if time.time() - begin < args.seconds:
                rows += measure(crystal, edges, name, args.rounds, args.device, args.peers)
        print(f"{crystal}: done", file=sys.stderr, flush=True)
    console.print(table(rows, args.device), "")
    found = summary(rows)
    for name, one in found.items():
        console.print(
            f"{name:28s} {one['mean']:6.1f}x in geometric mean, least {one['least']:.1f}x, memory at most {one['memory']:.2f}"
        )
    for name, one in orders.items():
        console.print(
            f"order of {name}: {1e3 * one['known']:.3f} ms where the graph is known, {1e3 * one['new']:.2f} ms where it is new"
        )
    args.results.mkdir(parents=True, exist_ok=True)
    everything = {"machine": where, "seconds": time.time() - begin, "summary": found, "order_seconds": orders}
    (args.results / f"{args.name}.json").write_text(json.dumps(everything | {"rows": [vars(row) for row in rows]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
