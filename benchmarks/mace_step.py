"""A whole MACE (128x0e+128x1o, correlation 3, random weights, e3nn 0.4.4), stock and under tpregistry, in one process.

    .venv-mace/bin/python benchmarks/mace_step.py

Energy with forces, and a training step on forces, of a salt crystal; the same model, each setting in turn, in random order.
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
from importlib import metadata
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ |= {"TP_CACHE_DIR": tempfile.mkdtemp(), "TP_LOG": "off"}
os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # e3nn 0.4.4 on torch >= 2.6

from ase.build import bulk  # noqa: E402

import tpregistry  # noqa: E402
from tests.hosts.mace_model import batch, mace  # noqa: E402
from tpregistry.frame import frame  # noqa: E402
from tpregistry.tune.race import interval  # noqa: E402

REQUESTS = ("off", "auto", "cg-llvm")


def measure(work: Callable[[], None], rounds: int) -> dict[str, list[float]]:
    """Seconds by setting; the first turns, in which products are tuned, do not count."""
    samples: dict[str, list[float]] = {request: [] for request in REQUESTS}
    order = random.Random(0)
    for turn in range(-2, rounds):
        for request in order.sample(REQUESTS, len(REQUESTS)):
            with tpregistry.use(request, budget=60):
                start = time.perf_counter()
                work()
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=3, help="8 cells^3 atoms")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    tpregistry.patch()
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (args.cells, args.cells, args.cells)
    atoms.rattle(0.05, seed=0)
    model, graph = mace(), batch(atoms)

    def forces() -> None:
        model(graph, compute_force=True)

    def training() -> None:
        out = model(graph, training=True, compute_force=True)
        (out["forces"].square().mean() + out["energy"].sum()).backward()
        model.zero_grad()

    found = {name: report(measure(work, args.rounds)) for name, work in (("forces", forces), ("training", training))}
    calls: dict[str, int] = {}
    for decision in tpregistry.decisions():
        calls[decision.backend] = calls.get(decision.backend, 0) + decision.calls
    for name, rows in found.items():
        for request, row in rows.items():
            spread = f"{row['ratio']:.2f}x ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})"
            print(f"MACE, {len(atoms)} atoms, {name:8s} {request:8s} {row['seconds']:.2f} s  {spread}")
    versions = {name: metadata.version(name) for name in ("tpregistry", "torch", "e3nn", "mace-torch", "llvmlite")}
    where = frame("torch").environment("cpu") | {"versions": versions}
    args.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": where, "atoms": len(atoms), "calls": calls, "steps": found}, indent=1)
    (args.results / "mace.json").write_text(text)


if __name__ == "__main__":
    main()
