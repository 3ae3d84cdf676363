"""Whole steps of unmodified models: stock, `auto` without sites, `auto`, and the ceiling, convolutions put in by hand.

    python benchmarks/models.py sevennet-0 --cells 3                energy and forces, 216 atoms of NaCl
    python benchmarks/models.py nequip-64-l2 --cells 2 --task train

Each is a process of its own; they are alive together and take turns, one step each per round in random order, so that a busy
machine hits all alike. Ratios are taken within rounds. Every step sees other positions, so neighbours are another graph.
A first process of each kind measures and keeps what it found; what is timed starts from its records.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tpregistry.tune.race import interval

KINDS = {
    "stock": {},
    "stock, again": {},
    "auto, no sites": {"TP_BACKEND": "auto", "TP_ADAPTERS": "!sevenn,!nequip"},
    "auto": {"TP_BACKEND": "auto"},
    "by hand": {"TP_BACKEND": "auto", "TP_ADAPTERS": "!sevenn,!nequip"},
}
MODELS = ("sevennet-0", "sevennet-l3i5", "nequip-64-l2")


class Process:
    """One kind of program, which takes a step when told to."""

    def __init__(self, kind: str, words: list[str], cache: Path, threads: int, budget: str) -> None:
        self.kind, self.steps = kind, []
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TP_")}
        environ = clean | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", "TP_CACHE_DIR": str(cache)}
        by_hand = ["--by-hand"] if kind == "by hand" else []
        self._process = subprocess.Popen(
            [sys.executable, __file__, *words, *by_hand, "--worker"],
            env=environ | {"TP_LOG": "off", "TP_BUDGET": budget} | KINDS[kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, word: str) -> Any:
        """Send a word and wait for the answer, a line of JSON."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.kind} ended before its time: run it with --worker to see why")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def compare(args: argparse.Namespace, words: list[str], say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Steps of all kinds in turns; what each says of itself in the end."""
    kinds = [kind for kind in KINDS if kind in args.kinds]
    with tempfile.TemporaryDirectory() as name:
        cache = args.cache or Path(name)
        for kind in kinds:
            if "TP_BACKEND" in KINDS[kind]:
                say(f"{kind}: first run, which tunes")
                first = Process(kind, words, cache, args.threads, args.budget)
                for _ in range(2):
                    first.ask("step")
                first.end()
        processes: list[Process] = []
        try:
            for kind in kinds:  # one after the other: seconds to the first step are compared, too
                say(f"{kind}: start")
                processes.append(Process(kind, words, cache, args.threads, args.budget))
                processes[-1].ask("step")
            order = random.Random(0)
            for number in range(args.steps):
                say(f"round {number + 1} of {args.steps}")
                for process in order.sample(processes, len(processes)):
                    process.steps.append(process.ask(f"step {number}")["seconds"])
            return {process.kind: process.ask("end") | {"steps": process.steps} for process in processes}
        finally:
            for process in processes:
                process.end()


def table(title: str, found: dict[str, dict[str, Any]]) -> Table:
    """A row for each kind."""
    stock = found["stock"]
    shown = Table(title=title, box=None, padding=(0, 1), title_justify="left")
    for heading in ("", "s/step", "times stock", "peak MiB", "|dF| eV/A", "first step s", "calls"):
        shown.add_column(heading, justify="left" if heading in ("", "calls") else "right")
    for kind, numbers in found.items():
        ratio = float(np.median(np.array(stock["steps"]) / np.array(numbers["steps"])))
        low, high = interval(stock["steps"], numbers["steps"])
        difference = float(np.abs(np.array(numbers["forces"]) - np.array(stock["forces"])).max())
        times = f"{np.median(numbers['steps']):.3f}", f"{ratio:.2f} ({low:.2f}-{high:.2f})"
        ran = ", ".join(f"{name} {count}" for name, count in sorted(numbers["calls"].items()))
        shown.add_row(kind, *times, f"{numbers['peak_mib']:.0f}", f"{difference:.1e}", f"{numbers['first']:.1f}", ran)
    return shown


def sevennet(name: str, cells: int, by_hand: bool) -> Callable[[int, bool], Any]:
    """SevenNet's pretrained potentials, from its own calculator and graphs."""
    import torch
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.calculator import SevenNetCalculator
    from sevenn.train.dataload import unlabeled_atoms_to_graph

    made = SevenNetCalculator({"sevennet-0": "7net-0", "sevennet-l3i5": "7net-l3i5"}[name], device="cpu")
    if by_hand:
        put_into_sevennet(made.model)
    optimizer = torch.optim.SGD(made.model.parameters(), lr=0.0)

    def step(seed: int, train: bool) -> Any:
        made.model.train(train)
        data = unlabeled_atoms_to_graph(crystal(cells, seed), made.cutoff, with_shift=False)
        out = made.model(AtomGraphData.from_numpy_dict(data))
        return trained(out["inferred_force"], optimizer, train)

    return step


def put_into_sevennet(model: Any) -> None:
    """TensorProductConv in place of gather, product and sum, as a person would write it."""
    import types

    from sevenn.nn.convolution import IrrepsConvolution

    from tpregistry.torch import TensorProductConv

    def forward(self: Any, data: Any) -> Any:
        receivers, senders = data[self.key_edge_idx]
        weight = self.weight_nn(data[self.key_weight_input])
        out = self.convolution(data[self.key_x], data[self.key_filter], weight, senders, receivers)
        data[self.key_x] = out.div(self.denominator)
        return data

    for module in list(model.modules()):
        if type(module) is IrrepsConvolution:
            module.convolution = TensorProductConv(module.convolution)
            module.forward = types.MethodType(forward, module)


def nequip(cells: int, by_hand: bool) -> Callable[[int, bool], Any]:
    """NequIP with random weights: three layers, 64 features, degree 2."""
    import torch
    from nequip.data import AtomicDataDict, from_ase
    from nequip.integrations.utils import basic_transforms
    from nequip.model import NequIPGNNModel
    from nequip.utils.global_state import set_global_state

    set_global_state()
    species = ["Na", "Cl"]
    model = NequIPGNNModel(
        seed=0,
        model_dtype="float32",
        compile_mode="eager",
        type_names=species,
        r_max=5.0,
        num_layers=3,
        l_max=2,
        parity=True,
        num_features=64,
        radial_mlp_width=64,
        avg_num_neighbors=24.0,
        per_type_energy_scales=1.0,
        per_type_energy_shifts=0.0,
    )
    if by_hand:
        put_into_nequip(model)
    transforms = basic_transforms(model.metadata, 5.0, species, {name: name for name in species})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

    def step(seed: int, train: bool) -> Any:
        model.train(train)
        data = from_ase(crystal(cells, seed))
        for transform in transforms:
            data = transform(data)
        return trained(model(AtomicDataDict.batched_from_list([data]))["forces"], optimizer, train)

    return step


def put_into_nequip(model: Any) -> None:
    """The same there."""
    import types

    from nequip.nn._tp_scatter_base import TensorProductScatter

    from tpregistry.torch import TensorProductConv

    def forward(self: Any, x: Any, edge_attr: Any, edge_weight: Any, edge_dst: Any, edge_src: Any) -> Any:
        return self.tp(x, edge_attr, edge_weight, edge_src, edge_dst)

    for module in list(model.modules()):
        if type(module) is TensorProductScatter:
            module.tp = TensorProductConv(module.tp)
            module.forward = types.MethodType(forward, module)


def trained(forces: Any, optimizer: Any, train: bool) -> Any:
    """Forces; and where it trains a step on them, at a rate of 0: all steps then do the same."""
    if train:
        optimizer.zero_grad()
        forces.square().mean().backward()
        optimizer.step()
    return forces.detach()


def crystal(cells: int, seed: int) -> Any:
    """Rock salt, 8 cells^3 atoms, off their places."""
    from ase.build import bulk

    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (cells, cells, cells)
    atoms.rattle(0.05, seed=seed)
    return atoms


def work(args: argparse.Namespace) -> None:
    """What a process does: steps when asked, and in the end the forces of one configuration and what ran."""
    import resource

    begin = time.perf_counter()
    make = nequip if args.model.startswith("nequip") else lambda *rest: sevennet(args.model, *rest)
    step, first = make(args.cells, args.by_hand), 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for line in sys.stdin:
        word, _, seed = line.strip().partition(" ")
        if word == "step":
            now = time.perf_counter()
            step(int(seed or 0), args.task == "train")
            first = first or time.perf_counter() - begin
            print(json.dumps({"seconds": time.perf_counter() - now}), flush=True)
        else:
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            ended = {"forces": step(0, False).tolist(), "peak_mib": peak, "first": first, "calls": calls()}
            print(json.dumps(ended), flush=True)


def calls() -> dict[str, int]:
    """Calls by operation and backend, where tpregistry is at work."""
    if "tpregistry.session" not in sys.modules:
        return {}
    import tpregistry

    counted: dict[str, int] = {}
    for decision in tpregistry.decisions():
        name = f"{'conv' if decision.problem.convolves else 'product'} {decision.backend}"
        counted[name] = counted.get(name, 0) + decision.calls
    return counted | {f"left: {why}": count for why, count in tpregistry.decisions().left_to_host.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--task", choices=("forces", "train"), default="forces")
    parser.add_argument("--cells", type=int, default=3, help="8 cells^3 atoms")
    parser.add_argument("--steps", type=int, default=8, help="rounds")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--budget", default="60", help="seconds to tune a problem: compilers take long on a busy machine")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--cache", type=Path, help="where records are kept, if they are to be")
    parser.add_argument("--json", type=Path, help="where all numbers go")
    parser.add_argument("--by-hand", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args, begin = arguments(), time.time()
    if args.worker:
        return work(args)
    words = [args.model, "--task", args.task, "--cells", str(args.cells)]
    found = compare(args, words, lambda text: print(f"[{time.time() - begin:4.0f} s] {text}", file=sys.stderr, flush=True))
    title = f"{args.model}, {8 * args.cells**3} atoms, {args.task}, float32, {args.threads} threads, load {os.getloadavg()[0]:.0f}"
    Console(width=150).print(table(title, found))
    if args.json:
        args.json.write_text(json.dumps(vars(args) | {"cache": None, "json": None, "found": found}, indent=1))
    return None


if __name__ == "__main__":
    main()
