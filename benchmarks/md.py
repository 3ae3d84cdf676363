"""Relax a salt crystal, then run NVE molecular dynamics, with a pretrained SevenNet: the program of somebody who has models.

    python benchmarks/md.py --model 7net-0 --relax 5 --steps 20 run.npz
    python benchmarks/md.py --evaluate run.npz --precision float64 reference.npz

The output holds energies, forces and stresses of some configurations, those configurations, and times. ``--evaluate``
computes the same for the configurations of another run, where two runs can be compared: trajectories part by rounding.
``--paced`` waits for a line on stdin before each step, so that several runs can take turns on one machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE
from sevenn.calculator import SevenNetCalculator
from sevenn.nn.node_embedding import OnehotEmbedding

TIME_STEP_FS = 1.0
TEMPERATURE_K = 300.0


@dataclass
class Log:
    """What a run leaves behind."""

    paced: bool = False
    frames: list[dict[str, Any]] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    total_energy: list[float] = field(default_factory=list)
    first_forces_at: float = 0.0

    def wait(self) -> None:
        """Say that the next step can begin, and begin when told."""
        if self.paced:
            print("ready", flush=True)
            sys.stdin.readline()

    def frame(self, atoms: Atoms, label: str) -> None:
        """Keep a configuration, its energy (eV), forces (eV/A) and stress (eV/A^3)."""
        values = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
        self.first_forces_at = self.first_forces_at or time.time()
        place = {"label": label, "positions": atoms.get_positions(), "cell": atoms.cell.array.copy()}
        self.frames.append(place | {name: np.array(value, dtype=np.float64) for name, value in values.items()})

    def save(self, path: Path, **more: Any) -> None:
        """One .npz: an array of each quantity with a row per configuration, and the rest as JSON in ``meta``."""
        arrays = {name: np.array([frame[name] for frame in self.frames]) for name in (self.frames[0] if self.frames else ())}
        meta = {"step_seconds": self.step_seconds, "total_energy": self.total_energy, "first_forces_at": self.first_forces_at}
        meta |= {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        np.savez(path, meta=json.dumps(meta | more), **arrays)


def crystal(cells: int) -> Atoms:
    """Rock salt, cells x cells x cells conventional cells of 8 atoms, every atom a little off its place."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (cells, cells, cells)
    atoms.rattle(0.05, seed=1)
    return atoms


def calculator(model: str, precision: str) -> SevenNetCalculator:
    """The pretrained potential; in float64 the same float32 parameters, calculated with more digits."""
    made = SevenNetCalculator(model, device="cpu")
    if precision == "float64":
        torch.set_default_dtype(torch.float64)
        made.model.double().register_forward_pre_hook(lambda model, inputs: widen(inputs[0]))
        for module in made.model.modules():
            if isinstance(module, OnehotEmbedding):
                module.register_forward_hook(lambda module, inputs, data: widen(data))
    return made


def widen(data: Any) -> None:
    """SevenNet makes its graphs and species embeddings float32 whatever the model is: the same numbers, as float64."""
    for key, value in list(data.items()):
        if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
            data[key] = value.double()


def simulate(atoms: Atoms, log: Log, relax: int, steps: int) -> None:
    """Relax positions and cell for some steps, then NVE; configurations of the start and the end are kept."""
    log.frame(atoms, "start")
    FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=relax)
    log.frame(atoms, "relaxed")
    MaxwellBoltzmannDistribution(atoms, temperature_K=TEMPERATURE_K, rng=np.random.default_rng(2))
    Stationary(atoms)
    dynamics = VelocityVerlet(atoms, TIME_STEP_FS * units.fs)
    log.total_energy.append(atoms.get_total_energy())
    for step in range(1, steps + 1):
        log.wait()
        begin = time.perf_counter()
        dynamics.run(1)
        log.step_seconds.append(time.perf_counter() - begin)
        log.total_energy.append(atoms.get_total_energy())
        if step in (1, steps):
            log.frame(atoms, f"step {step}")


def evaluate(atoms: Atoms, path: Path, log: Log) -> None:
    """Compute the configurations that another run has kept."""
    with np.load(path) as other:
        places = list(zip(other["label"], other["positions"], other["cell"], strict=True))
    for label, positions, cell in places:
        atoms.set_cell(cell)
        atoms.set_positions(positions)
        log.frame(atoms, str(label))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="7net-0")
    parser.add_argument("--precision", choices=("float32", "float64"), default="float32")
    parser.add_argument("--cells", type=int, default=3, help="8 cells^3 atoms")
    parser.add_argument("--relax", type=int, default=0, help="steps of relaxation")
    parser.add_argument("--steps", type=int, default=0, help="steps of molecular dynamics, 1 fs each")
    parser.add_argument("--evaluate", type=Path, help="keep the configurations of this file instead of this run's own")
    parser.add_argument("--paced", action="store_true")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    atoms = crystal(args.cells)
    atoms.calc = calculator(args.model, args.precision)
    log = Log(args.paced)
    if args.steps:
        simulate(atoms, log, args.relax, args.steps)
    if args.evaluate:
        log.wait()
        log.frames.clear()
        evaluate(atoms, args.evaluate, log)
    log.save(args.output, model=args.model, atoms=len(atoms), threads=torch.get_num_threads(), time_step_fs=TIME_STEP_FS)


if __name__ == "__main__":
    main()
