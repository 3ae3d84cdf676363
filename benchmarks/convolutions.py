"""Convolutions on neighbour lists of crystals: gather, product, sum into receivers, fused and not, ours and peers'.

    python benchmarks/convolutions.py                        three crystals, five products of MACE, SevenNet and NequIP
    python benchmarks/convolutions.py --framework jax        the same in JAX, jitted
    python benchmarks/convolutions.py --size 3 --only nequip --rounds 5 --without cuequivariance

Contestants take turns in random order; medians. They are the host's own code (e3nn's two modes, or e3nn-jax) between the
framework's gather and sum; our compiled backend's product between the same (cg-llvm; on a GPU cg-triton); and every backend
that has convolutions of its own and is installed. All but the host pass the gate first. ``--size`` repeats each crystal:
at 2 there are 64 to 108 atoms, at 3 216 to 256. Memory is how far resident memory rises in a call. In torch each graph's order
of edges is made once and kept, as where a model's layers share their neighbours; ``order`` says what making it takes. In JAX
it is made in the program.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from contest import HOSTS, host_modules
from kernels import HERE, PATTERNS, geometric_mean, in_turns, machine, peak_mib
from rich.console import Console
from rich.table import Table

from tpregistry import discovery
from tpregistry.backend import Backend
from tpregistry.building import build
from tpregistry.frame import Frame, Host, Operands, frame
from tpregistry.gate import Yardstick, verify
from tpregistry.gate.cases import draw
from tpregistry.graph import Edges
from tpregistry.problem import Problem, bucket
from tpregistry.settings import current
from tpregistry.testing import real_problems
from tpregistry.torch.graph import Graph
from tpregistry.verdicts import verdict_of

PRODUCTS = ("mace layer 1", "mace-mp-0 medium layer 2", "sevennet-0 inner", "nequip with parity", "sevennet-l3i5 inner")
OURS = {"cpu": "cg-llvm", "cuda": "cg-triton"}
UNFUSED = ", not fused"


def crystals(size: int) -> dict[str, tuple[Atoms, float]]:
    """Atoms, displaced a little, and a cutoff in Å that models of them use."""
    found = {
        "NaCl": (bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(size), 5.0),
        "Cu": (bulk("Cu", "fcc", a=3.61, cubic=True).repeat(size + 1), 5.0),
        "Si": (bulk("Si", "diamond", a=5.43, cubic=True).repeat(size), 6.0),
    }
    for atoms, _ in found.values():
        atoms.rattle(0.05, seed=0)
    return {f"{name}, {len(atoms)} atoms": (atoms, cutoff) for name, (atoms, cutoff) in found.items()}


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

    def host(self, values: dict[str, float]) -> float:
        """Of the host's better mode."""
        return min(value for name, value in values.items() if name in (*HOSTS, "e3nn_jax"))

    def ratio(self, name: str) -> float:
        """How many times faster than the host."""
        return self.host(self.seconds) / self.seconds[name]

    def memory(self, name: str) -> float:
        """Its peak over the host's; NaN where the system does not tell."""
        host = self.host(self.peak_mib)
        return self.peak_mib[name] / host if host else float("nan")


@dataclass
class Setting:
    """Where convolutions are measured, and what is left out."""

    seam: Frame
    device: str
    without: list[str]

    def hosts(self, problem: Problem) -> dict[str, Host]:
        """The host's own code, in its modes."""
        if self.seam.name == "torch":
            return host_modules(problem, self.device)
        from tpregistry_e3nn_jax.host import host_of

        return {"e3nn_jax": host_of(problem)}

    def contestants(self, problem: Problem) -> dict[str, Any]:
        """Kernels of the convolution; those that are not the host's pass the gate, or are left out with a line on stderr."""
        hosts = self.hosts(problem)
        yardstick = Yardstick(problem.at(batch=256, nodes=16), next(iter(hosts.values())), self.seam, self.device)
        found = {name: host.kernel for name, host in hosts.items()}
        for name, make in self._makers(problem).items():
            try:
                kernel = make()
                failures = verify(kernel, yardstick).failures
            except Exception as error:  # a plugin may raise anything
                failures = f"{type(error).__name__}: {error}"
            if failures:
                print(f"{name} fails the gate on {problem}: {failures}", file=sys.stderr)
            else:
                found[name] = kernel
        return found

    def _makers(self, problem: Problem) -> dict[str, Callable[[], Any]]:
        framework, found = self.seam.name, {}
        for name, plugin in discovery.backends(current()).items():
            backend = plugin.backend
            if backend is None or plugin.face.host or problem.operation not in plugin.face.operations or name in self.without:
                continue
            if not verdict_of(backend, problem, framework, self.device, {"torch": "e3nn", "jax": "e3nn_jax"}[framework]).ok:
                continue
            if name == OURS[self.device]:
                found[name + UNFUSED] = partial(self._unfused, backend, problem)
            found[name] = partial(build, backend, problem, self.device, framework)
        return found

    def _unfused(self, backend: Backend, problem: Problem) -> Any:
        """The product alone, between the framework's gather and sum."""
        if self.seam.name == "torch":
            from tpregistry.torch.convolution import Unfused
        else:
            from tpregistry.jax.convolution import Unfused
        return Unfused(backend.build(problem.product, self.device, self.seam.name))


def operands_on(problem: Problem, edges: Edges) -> Operands:
    """Random operands of a real graph."""
    count, drawn = len(edges.senders), draw(problem, len(edges.senders), 0).values
    generator = np.random.default_rng(0)
    nodes = {name: generator.standard_normal((edges.nodes, drawn[name].shape[1])) for name in ("x", "a", "g")}
    assert all(len(drawn[name]) == count for name in ("y", "w"))
    return Operands(drawn | nodes, graph=edges)


def measure(name: str, graphs: dict[str, Edges], where: Setting, rounds: int, deadline: float) -> list[Row]:
    """All patterns of one product, graph by graph; none is begun after the deadline."""
    whole = real_problems("float32")[name].convolution(1)
    kernels, rows = where.contestants(whole), []
    for crystal, edges in graphs.items():
        if time.time() > deadline:
            break
        count = len(edges.senders)
        operands = operands_on(whole.at(nodes=bucket(edges.nodes), batch=bucket(count)), edges)
        for order, pattern in enumerate(PATTERNS):
            thunks = {k: where.seam.thunk(kernel, operands, "float32", where.device, order) for k, kernel in kernels.items()}
            peaks = {k: peak_mib(thunk, where.device) for k, thunk in thunks.items()}
            seconds = in_turns(thunks, rounds)
            rows.append(Row(crystal, count, edges.nodes, name, len(whole.paths), pattern, seconds, peaks))
    print(f"{name}: done", file=sys.stderr, flush=True)
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


def names_of(rows: list[Row]) -> list[str]:
    """Contestants, hosts first."""
    return list(dict.fromkeys(name for row in rows for name in row.seconds))


def table(rows: list[Row]) -> Table:
    """Milliseconds, ratios to the host's better mode, MiB."""
    shown = Table(
        box=None, padding=(0, 1), header_style="dim", title="float32: ms (times the host), peak MiB", title_justify="left"
    )
    names = names_of(rows)
    for heading in ("crystal", "edges", "product", "paths", "pattern", *names):
        shown.add_column(heading, justify="left" if heading in ("crystal", "product", "pattern") else "right")
    for row in rows:
        cells = (
            f"{1e3 * row.seconds[n]:.2f} ({row.ratio(n):.1f}x) {row.peak_mib[n]:.0f}" if n in row.seconds else "" for n in names
        )
        shown.add_row(row.crystal, str(row.edges), row.problem, str(row.paths), row.pattern, *cells)
    return shown


def summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    """For each contestant and each pattern: mean and least ratio, largest share of the host's memory."""
    found = {}
    for name in names_of(rows):
        for pattern in PATTERNS:
            chosen = [row for row in rows if row.pattern == pattern and name in row.seconds]
            ratios, memory = [row.ratio(name) for row in chosen], max(row.memory(name) for row in chosen)
            found[f"{name} {pattern}"] = {"mean": geometric_mean(ratios), "least": min(ratios), "memory": memory}
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", default="torch", choices=["torch", "jax"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=2, help="of the crystals: 2 for thousands of edges, 3 for more than five")
    parser.add_argument("--device", default="cpu", choices=list(OURS))
    parser.add_argument("--name", default="", help="of the result file: convolutions, or convolutions-jax")
    parser.add_argument("--only", default="", help="products whose name holds this")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after this time")
    parser.add_argument("--crystal", default="", help="crystals whose name holds this")
    parser.add_argument("--without", nargs="*", default=[], help="backends to leave out")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def main() -> int:
    args, console = arguments(), Console(width=None if sys.stdout.isatty() else 190)
    os.environ["TP_CACHE_DIR"] = tempfile.mkdtemp()
    begin, where = time.time(), Setting(frame(args.framework), args.device, args.without)
    graphs = {name: edges_of(*atoms) for name, atoms in crystals(args.size).items() if args.crystal in name}
    about = machine(args.device) | where.seam.environment(args.device)
    with ExitStack() as stack:
        if args.framework == "jax":
            import jax

            stack.enter_context(jax.enable_x64(True))  # the gate's reference
        deadline, names = begin + args.seconds, (name for name in PRODUCTS if args.only in name)
        rows = [row for name in names for row in measure(name, graphs, where, args.rounds, deadline)]
    console.print(table(rows), "")
    found = summary(rows)
    for name, one in found.items():
        console.print(
            f"{name:28s} {one['mean']:6.1f}x in geometric mean, least {one['least']:.1f}x, memory at most {one['memory']:.2f}"
        )
    orders = {}
    for name, edges in graphs.items() if args.framework == "torch" else ():
        orders[name] = one = order_seconds(edges, args.rounds, args.device)
        console.print(
            f"order of {name}: {1e3 * one['known']:.3f} ms where the graph is known, {1e3 * one['new']:.2f} ms where it is new"
        )
    args.results.mkdir(parents=True, exist_ok=True)
    everything = {"machine": about, "seconds": time.time() - begin, "summary": found, "order_seconds": orders}
    file = args.name or ("convolutions-jax" if args.framework == "jax" else "convolutions")
    (args.results / f"{file}.json").write_text(json.dumps(everything | {"rows": [vars(row) for row in rows]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
