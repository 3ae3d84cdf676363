"""`make demo`: an unmodified molecular dynamics program, stock and under tpregistry, side by side.

`md.py` runs as a process of its own for stock (TP_BACKEND unset), twice for ``auto`` (the first run measures and keeps what
it found, the second only reads it), and as a second stock process, which shows how far a ratio of 1 strays on this machine.
``--full`` (`make demo-full`) takes a second, larger potential, and each backend of ours, forced. Exits with 1 where a force
differs beyond rounding.

- **Differences** are taken at the same configurations, those that the stock run kept: trajectories part by rounding.
- **Rounding** is stock's own: the same parameters are also evaluated in float64. Two evaluations that are both as near to
  float64 as stock is differ by at most twice stock's error, so that is the bound; no number is picked by hand.
- **Times** are of whole MD steps, neighbour lists and all. The runs are alive together and take turns, one step each per
  round in random order, so that a busy machine hits all alike; ratios are taken within rounds (median, 95 % interval).
  All get the same OMP_NUM_THREADS, and OMP_WAIT_POLICY=PASSIVE unless it is set: threads that spin in barriers make steps
  ten times longer, stock's too, as soon as another process wants a core.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import numpy as np
from demo_plot import draw
from rich.console import Console
from rich.table import Table

from tpregistry.tune.race import interval

HERE = Path(__file__).parent
STOCK, AGAIN, FIRST, AUTO = "stock", "stock, again", "auto, first run", "auto, second run"
FORCED = ("cg-llvm", "cg-hoist", "cg-dense")
BACKENDS = {STOCK: "", AGAIN: "", FIRST: "auto", AUTO: "auto"} | {name: name for name in FORCED}
MULTIPLE_OF_STOCK_ERROR = 2.0
UNMEASURED = ("record", "rule")


@dataclass(frozen=True)
class Plan:
    """How much of md.py is run for a model."""

    model: str
    relax: int
    steps: int
    forced: tuple[str, ...] = ()
    cells: int = 3

    @property
    def runs(self) -> tuple[str, ...]:
        """The rows of the table, the first of which is what the others are held against."""
        return (STOCK, AGAIN, FIRST, AUTO, *self.forced)


SHORT = (Plan("7net-0", relax=1, steps=8),)
FULL = (Plan("7net-0", relax=3, steps=10, forced=FORCED), Plan("7net-l3i5", relax=2, steps=8, forced=FORCED))


class Told:
    """Says what is being done: in one line that changes on a terminal, and a line each elsewhere."""

    def __init__(self) -> None:
        self._console, self._begin = Console(stderr=True), time.time()

    @contextmanager
    def telling(self) -> Iterator[Callable[[str], None]]:
        """A function that takes a message."""
        if not self._console.is_terminal:
            yield lambda message: print(f"[{time.time() - self._begin:4.0f} s] {message}", file=sys.stderr, flush=True)
            return
        with self._console.status("") as status:
            yield status.update


@dataclass
class Outcome:
    """What one run gave. ``frames`` holds energies, forces and stresses, a row for each kept configuration."""

    name: str
    frames: dict[str, np.ndarray] = field(repr=False)
    step_seconds: list[float]
    drift_mev_per_atom_ps: float
    peak_mib: float
    seconds_to_forces: float
    decisions: list[dict[str, Any]]
    left_to_host: dict[str, int]

    @property
    def calls(self) -> dict[str, int]:
        """Calls of tensor products by what ran them."""
        counted: dict[str, int] = {}
        for decision in self.decisions:
            counted[decision["backend"]] = counted.get(decision["backend"], 0) + decision["calls"]
        return counted


class Run:
    """md.py as a process, which takes a step when told to."""

    def __init__(self, name: str, plan: Plan, folder: Path, threads: int, options: tuple[str, ...] = ()) -> None:
        self.name, self.folder = name, folder
        self.output, self.report = folder / f"{name}.npz", folder / f"{name}.json"
        command = [sys.executable, str(HERE / "md.py"), str(self.output), "--model", plan.model, "--cells", str(plan.cells)]
        self._log: IO[str] = (folder / f"{name}.log").open("w")
        self.started = time.time()
        self._process = subprocess.Popen(
            [*command, *options],
            env=self._environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def _environment(self, threads: int) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TP_")}
        ours = {
            "TP_BACKEND": BACKENDS.get(self.name, ""),
            "TP_CACHE_DIR": str(self.folder / "cache"),
            "TP_REPORT": str(self.report),
        }
        return {"OMP_WAIT_POLICY": "PASSIVE"} | clean | {"OMP_NUM_THREADS": str(threads)} | (ours if ours["TP_BACKEND"] else {})

    def ready(self) -> None:
        """Wait until it waits for us."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == "ready":
                return
        self.finish()
        raise RuntimeError(f"{self.name} ended before its time")

    def go(self) -> None:
        """Let it take one step."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def finish(self) -> None:
        """Wait for its end; raises with its last words where it failed."""
        self._process.communicate()
        self._log.close()
        if self._process.returncode:
            words = Path(self._log.name).read_text()[-2000:]
            raise RuntimeError(f"{self.name} failed:\n{words}")

    def stop(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def outcome(self) -> Outcome:
        """Read what it wrote."""
        with np.load(self.output) as file:
            meta = json.loads(str(file["meta"]))
            frames = {name: file[name] for name in ("energy", "forces", "stress") if name in file}
        report = json.loads(self.report.read_text()) if self.report.exists() else {"decisions": [], "left_to_host": {}}
        drift = drift_mev_per_atom_ps(meta["total_energy"], meta["atoms"], meta["time_step_fs"])
        waited = meta["first_forces_at"] - self.started
        return Outcome(
            self.name, frames, meta["step_seconds"], drift, meta["peak_mib"], waited, report["decisions"], report["left_to_host"]
        )


def drift_mev_per_atom_ps(total_energy: list[float], atoms: int, time_step_fs: float) -> float:
    """Slope of a line through the total energies of an NVE run."""
    if len(total_energy) < 2:
        return 0.0
    picoseconds = 1e-3 * time_step_fs * np.arange(len(total_energy))
    return float(1e3 * np.polyfit(picoseconds, total_energy, 1)[0] / atoms)


def measure(plan: Plan, folder: Path, threads: int, say: Callable[[str], None]) -> dict[str, Outcome]:
    """All runs of one model: the first of auto alone, the others in turns, then float64 for stock's own error."""
    dynamics = ("--relax", str(plan.relax), "--steps", str(plan.steps))
    say(f"{plan.model}: {FIRST}, which tunes")
    first = Run(FIRST, plan, folder, threads, dynamics)
    first.finish()
    kept = ("--evaluate", str(folder / f"{STOCK}.npz"))
    runs: dict[str, Run] = {}
    try:
        for name in [name for name in plan.runs if name != FIRST]:
            say(f"{plan.model}: start and relaxation, {name}")
            runs[name] = Run(name, plan, folder, threads, (*dynamics, "--paced", *(kept if name != STOCK else ())))
            runs[name].ready()
        take_turns(list(runs.values()), plan, say)
        say(f"{plan.model}: the same configurations by each backend")
        for run in runs.values():
            finish_in_turn(run)
    finally:
        for run in runs.values():
            run.stop()
    say(f"{plan.model}: the same configurations in float64")
    exact = Run("float64", plan, folder, threads, (*kept, "--precision", "float64"))
    exact.finish()
    return {run.name: run.outcome() for run in (first, *runs.values(), exact)}


def take_turns(runs: list[Run], plan: Plan, say: Callable[[str], None]) -> None:
    """One MD step of every run per round, in random order. Stock ends with its last step; the others wait to evaluate."""
    order = random.Random(0)
    for step in range(1, plan.steps + 1):
        say(f"{plan.model}: MD step {step} of {plan.steps}, all in turn")
        for run in order.sample(runs, len(runs)):
            run.go()
            if step < plan.steps or run.name != STOCK:
                run.ready()
            else:
                run.finish()


def finish_in_turn(run: Run) -> None:
    """Let a run that waits to evaluate do so; stock has ended already."""
    if run.name != STOCK:
        run.go()
        run.finish()


def largest(a: Outcome, b: Outcome, quantity: str) -> float:
    """Largest absolute difference over all kept configurations."""
    return float(np.abs(a.frames[quantity] - b.frames[quantity]).max())


def summarise(plan: Plan, found: dict[str, Outcome], tuning_seconds: float) -> dict[str, Any]:
    """Numbers of one model, as they are printed, plotted and saved."""
    stock, exact, atoms = found[STOCK], found["float64"], 8 * plan.cells**3
    error = largest(stock, exact, "forces")
    pace = list((np.array(stock.step_seconds) + np.array(found[AGAIN].step_seconds)) / 2)
    rows = {name: row(found[name], stock, exact, atoms, pace) for name in plan.runs}
    rows[FIRST]["tuning_seconds"] = tuning_seconds
    bound = MULTIPLE_OF_STOCK_ERROR * error
    return asdict(plan) | {"atoms": atoms, "stock_force_error": error, "force_bound": bound, "runs": rows}


def row(run: Outcome, stock: Outcome, exact: Outcome, atoms: int, pace: list[float]) -> dict[str, Any]:
    """One run against stock, whose ``pace`` is the mean of its two processes, step by step.

    The first run of auto is not timed in turns and not compared: its kernels are the second's.
    """
    plain = {name: getattr(run, name) for name in ("calls", "step_seconds", "decisions", "left_to_host")}
    plain |= {"drift_mev_per_atom_ps": run.drift_mev_per_atom_ps, "seconds_to_forces": run.seconds_to_forces}
    plain |= {"peak_mib": run.peak_mib}
    plain |= {"step_median_seconds": float(np.median(run.step_seconds[1:] or run.step_seconds)), "tuning_seconds": 0.0}
    if run.name == FIRST:
        return plain
    ratios = np.array(pace) / np.array(run.step_seconds)
    low, high = interval(pace, run.step_seconds)
    plain |= {"ratio": float(np.median(ratios)), "ratio_low": low, "ratio_high": high}
    plain |= {"energy_difference_per_atom": largest(run, stock, "energy") / atoms, "force_error": largest(run, exact, "forces")}
    return plain | {"force_difference": largest(run, stock, "forces"), "stress_difference": largest(run, stock, "stress")}


def failures(result: dict[str, Any]) -> list[str]:
    """What must not be: forces beyond rounding, or a second run that measured or left calls to the host unasked."""
    found = []
    for name, numbers in result["runs"].items():
        difference = numbers.get("force_difference", 0.0)
        if not difference <= result["force_bound"]:
            found.append(f"{name}: forces differ from stock by {difference:.1e} eV/A, allowed are {result['force_bound']:.1e}")
    tuned = [d for d in result["runs"][AUTO]["decisions"] if d["source"] not in UNMEASURED]
    found += [f"{AUTO}: {d['problem']} came from {d['source']}, not from a record" for d in tuned]
    if not result["runs"][AUTO]["decisions"]:
        found.append(f"{AUTO}: nothing was decided: tpregistry did not take effect")
    return [f"{result['model']}: {line}" for line in found]


def tuning_seconds(cache: Path) -> float:
    """Seconds that the records of a folder took to make."""
    records = (json.loads(path.read_text()) for path in cache.glob("v1/*/*.json") if path.name != "environment.json")
    return float(sum(record["seconds"] for record in records))


def table(result: dict[str, Any]) -> Table:
    """One model, for people."""
    title = f"{result['model']}: NaCl, {result['atoms']} atoms, {result['steps']} MD steps of 1 fs"
    caption = (
        f"|dF|, |dE|, |dS|: largest differences from stock at stock's own configurations. Stock itself is "
        f"{scientific(result['stock_force_error'])} eV/A from float64; allowed are twice that. Step times: medians, runs taking "
        f"turns step by step (the first run alone); ratio to the mean of the two stock runs, with its 95 % interval. Drift over "
        f"so few steps only shows agreement."
    )
    shown = Table(
        title=title, caption=caption, title_justify="left", caption_justify="left", box=None, padding=(0, 1), header_style="dim"
    )
    for heading in (
        "",
        "calls",
        "|dE| eV/atom",
        "|dF| eV/A",
        "|dS| eV/A³",
        "s/step",
        "times stock",
        "peak MiB",
        "first forces s",
        "tuning s",
        "drift meV/atom/ps",
    ):
        shown.add_column(heading, justify="left" if heading in ("", "calls") else "right")
    for name, numbers in result["runs"].items():
        shown.add_row(*cells(name, numbers))
    return shown


def cells(name: str, numbers: dict[str, Any]) -> list[str]:
    """One row of the table."""
    calls = ", ".join(f"{backend} {count}" for backend, count in sorted(numbers["calls"].items())) or "stock code"
    keys = ("energy_difference_per_atom", "force_difference", "stress_difference")
    differences = [scientific(numbers[key]) if key in numbers and name != STOCK else "" for key in keys]
    ratio = f"{numbers['ratio']:.2f} ({numbers['ratio_low']:.2f}-{numbers['ratio_high']:.2f})" if "ratio" in numbers else ""
    tuning = f"{numbers['tuning_seconds']:.1f}" if numbers["tuning_seconds"] else ""
    times = [
        f"{numbers['step_median_seconds']:.2f}",
        ratio,
        f"{numbers['peak_mib']:.0f}",
        f"{numbers['seconds_to_forces']:.1f}",
        tuning,
    ]
    return [name, calls, *differences, *times, f"{numbers['drift_mev_per_atom_ps']:+.2f}"]


def scientific(value: float) -> str:
    return f"{value:.1e}"


def machine(threads: int) -> dict[str, Any]:
    """What the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    names = ("tpregistry", "torch", "e3nn", "sevenn", "ase", "numpy")
    versions = {name: metadata.version(name) for name in names} | {"python": sys.version.split()[0]}
    return {"cpu": model, "cores": os.cpu_count(), "threads": threads, "load_before": os.getloadavg()[0], "versions": versions}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="also SevenNet-l3i5, and each backend forced")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, help="where demo.json and demo.png go [.cache/demo, or benchmarks/results]")
    return parser.parse_args()


def main() -> int:
    args, console, told = arguments(), Console(width=None if sys.stdout.isatty() else 150), Told()
    begin, where, results = time.time(), machine(args.threads), []
    for plan in FULL if args.full else SHORT:
        with tempfile.TemporaryDirectory() as name, told.telling() as say:
            found = measure(plan, Path(name), args.threads, say)
            results.append(summarise(plan, found, tuning_seconds(Path(name) / "cache")))
        console.print(table(results[-1]), "")
    folder = args.results or (HERE / "results" if args.full else HERE.parent / ".cache" / "demo")
    save(folder, {"machine": where, "seconds": time.time() - begin, "models": results})
    problems = [line for result in results for line in failures(result)]
    for line in problems:
        console.print(f"[red]{line}")
    return 1 if problems else 0


def save(folder: Path, everything: dict[str, Any]) -> None:
    """All numbers as JSON, and the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo.json").write_text(json.dumps(everything, indent=1))
    draw(everything, folder / "demo.png")


if __name__ == "__main__":
    sys.exit(main())
