"""Steps of a whole model, stock and under tpregistry, in one process: energy with forces, and training on forces.

    .venv-mace/bin/python benchmarks/model_step.py                 MACE: 128x0e+128x1o, correlation 3, random weights, e3nn 0.4.4
    python benchmarks/model_step.py --model 7net-l3i5 --device cuda --requests off auto

A salt crystal; the same model, each setting in turn, in random order. The first turns, in which products are tuned, do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ |= {"TP_CACHE_DIR": tempfile.mkdtemp(), "TP_LOG": "off"}
os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # e3nn 0.4.4 on torch >= 2.6

import torch  # noqa: E402
from ase import Atoms  # noqa: E402
from ase.build import bulk  # noqa: E402

import tpregistry  # noqa: E402
from tpregistry import discovery  # noqa: E402
from tpregistry.frame import frame  # noqa: E402
from tpregistry.tune.race import interval  # noqa: E402

PACKAGES = ("tpregistry", "torch", "e3nn", "mace-torch", "sevenn", "llvmlite", "triton")
Steps = dict[str, Callable[[], Any]]


def mace_steps(atoms: Atoms, device: str) -> Steps:
    """Of a MACE."""
    from tests.hosts.mace_model import batch, mace

    model, graph = mace().to(device), {key: value.to(device) for key, value in batch(atoms).items()}

    def training() -> None:
        out = model(graph, training=True, compute_force=True)
        (out["forces"].square().mean() + out["energy"].sum()).backward()
        model.zero_grad()

    return {"forces": lambda: model(graph, compute_force=True), "training": training}


def sevennet_steps(name: str, atoms: Atoms, device: str) -> Steps:
    """Of a pretrained SevenNet, which finds its gradients itself."""
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.calculator import SevenNetCalculator
    from sevenn.train.dataload import unlabeled_atoms_to_graph

    calculator = SevenNetCalculator(name, device=device)
    model, arrays = calculator.model, unlabeled_atoms_to_graph(atoms, calculator.cutoff, with_shift=False)

    def step(train: bool) -> dict[str, torch.Tensor]:
        return model.train(train)(AtomGraphData.from_numpy_dict(dict(arrays)).to(device))

    def training() -> None:
        step(True)["inferred_force"].square().mean().backward()
        model.zero_grad()

    return {"forces": lambda: step(False), "training": training}


def measure(work: Callable[[], None], requests: list[str], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds by setting."""
    samples: dict[str, list[float]] = {request: [] for request in requests}
    order, wait = random.Random(0), torch.cuda.synchronize if device != "cpu" else lambda: None
    for turn in range(-2, rounds):
        for request in order.sample(requests, len(requests)):
            with tpregistry.use(request, budget=60):
                start = time.perf_counter()
                work()
                wait()
                if turn >= 0:
                    samples[request].append(time.perf_counter() - start)
    return samples


def report(samples: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Medians, and times stock with its 95 % interval."""
    found = {}
    for request, seconds in samples.items():
        low, high = interval(samples["off"], seconds)
        ratio = float(np.median(np.array(samples["off"]) / np.array(seconds)))
        found[request] = {"seconds": float(np.median(seconds)), "ratio": ratio, "ratio_low": low, "ratio_high": high}
    return found


def calls() -> dict[str, int]:
    """Calls of products by what ran them."""
    found: dict[str, int] = {}
    for decision in tpregistry.decisions():
        found[decision.backend] = found.get(decision.backend, 0) + decision.calls
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mace", choices=("mace", "7net-0", "7net-l3i5"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--requests", nargs="+", default=["off", "auto", "cg-llvm"], help="values of TP_BACKEND; the first is off")
    parser.add_argument("--cells", type=int, default=3, help="8 cells^3 atoms")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    tpregistry.patch()
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (args.cells, args.cells, args.cells)
    atoms.rattle(0.05, seed=0)
    steps = mace_steps(atoms, args.device) if args.model == "mace" else sevennet_steps(args.model, atoms, args.device)
    found = {name: report(measure(work, args.requests, args.rounds, args.device)) for name, work in steps.items()}
    for name, rows in found.items():
        for request, row in rows.items():
            spread = f"{row['ratio']:.2f}x ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})"
            print(f"{args.model}, {len(atoms)} atoms, {name:8s} {request:8s} {row['seconds']:.3f} s  {spread}")
    versions = {name: version for name in PACKAGES if (version := discovery.installed_version(name))}
    where = frame("torch").environment(args.device) | {"versions": versions}
    args.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": where, "model": args.model, "atoms": len(atoms), "calls": calls(), "steps": found}, indent=1)
    (args.results / f"{args.model}.json").write_text(text)


if __name__ == "__main__":
    main()
