"""What tpregistry costs where it does not help: per call, per interpreter start, per import, per command.

Every comparison is interleaved, round by round in random order, and given as the median over rounds. What is short is also
given as the least of many samples, one that nobody interrupted; the goals are about that: guard and look-up 3 µs per call, and
5 µs where 68 paths have 24 buffers to look at;
interpreter start 0.2 ms with TP_BACKEND and nothing to speak of without; import 30 ms; `tpregistry list` 250 ms.
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
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
from e3nn import o3
from rich.console import Console
from rich.table import Table

import tpregistry

HERE = Path(__file__).parent
ROOT = Path(tpregistry.__file__).parent.parent
STARTUP_LINE = (ROOT / "tpregistry" / "startup.pth").read_text().strip()
Thunk = Callable[[], object]
Rows = dict[str, dict[str, float]]

TINY = {
    "1x0e x 1x0e -> 1x0e": ("1x0e", "1x0e", "1x0e", "uuu"),
    "4x0e+4x1o x 1x0e+1x1o -> 4x0e+4x1o": ("4x0e+4x1o", "1x0e+1x1o", "4x0e+4x1o", "uvu"),
    "6 buffers": ("4x1o+4x2e", "1x1o+1x2e", "4x1o+4x2e+4x1e", "uvu"),
    "68 paths, 24 buffers": ("+".join(f"64x{l}{p}" for l in range(4) for p in "eo"), "1x0e+1x1o+1x2e+1x3o", None, "uvu"),
}
REAL = {
    "mace first layer": ("128x0e", "1x0e+1x1o+1x2e+1x3o", 1000),
    "mace second layer": ("128x0e+128x1o", "1x0e+1x1o+1x2e+1x3o", 1000),
    "sevennet-0 inner layer": ("128x0e+64x1e+32x2e", "1x0e+1x1e+1x2e", 1000),
    "a small model": ("16x0e+16x1o", "1x0e+1x1o", 100),
}


def interleaved(thunks: Mapping[str, Thunk], rounds: int, repeats: int) -> dict[str, list[float]]:
    """Seconds per call of each thunk, a sample per round; order is drawn anew in each round."""
    samples: dict[str, list[float]] = {name: [] for name in thunks}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(sorted(thunks), len(thunks)):
            thunk, start = thunks[name], time.perf_counter()
            for _ in range(repeats):
                thunk()
            samples[name].append((time.perf_counter() - start) / repeats)
    return samples


def product(irreps1: str, irreps2: str, out: str | None, mode: str) -> o3.TensorProduct:
    """A weighted product with every path that the irreps allow; without ``out``, one output for each path, as in models."""
    rep1, rep2 = o3.Irreps(irreps1), o3.Irreps(irreps2)
    if out is not None:
        wanted = o3.Irreps(out)
        paths = [
            (i, j, k) for i, a in enumerate(rep1) for j, b in enumerate(rep2) for k, c in enumerate(wanted) if c.ir in a.ir * b.ir
        ]
    else:
        found = [(i, j, a.mul, ir) for i, a in enumerate(rep1) for j, b in enumerate(rep2) for ir in a.ir * b.ir if ir.l <= 3]
        wanted, paths = o3.Irreps([(mul, ir) for _, _, mul, ir in found]), [(i, j, k) for k, (i, j, _, _) in enumerate(found)]
    instructions = [(*path, mode, True) for path in paths]
    return o3.TensorProduct(rep1, rep2, wanted, instructions, shared_weights=False, internal_weights=False)


def operands(module: Any, batch: int, grad: bool) -> list[torch.Tensor]:
    sizes = module.irreps_in1.dim, module.irreps_in2.dim, module.weight_numel
    return [torch.randn(batch, size, requires_grad=grad) for size in sizes]


def stock_checks(module: Any, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """What e3nn's own forward does before its kernel."""
    torch._assert(x.shape[-1] == module._in1_dim, "Incorrect last dimension for x")
    torch._assert(y.shape[-1] == module._in2_dim, "Incorrect last dimension for y")
    return module._get_weights(w)


def guard_and_look_up(rounds: int) -> Rows:
    """µs of a patched call beyond its kernel and e3nn's checks. The kernel hands back a stored tensor: no noise of its own."""
    return {
        f"{name}, {'with' if grad else 'no'} grad": _guard(product(*given), grad, rounds)
        for name, given in TINY.items()
        for grad in (False, True)
    }


def _guard(module: Any, grad: bool, rounds: int) -> dict[str, float]:
    x, y, w = operands(module, 4, grad)
    with tpregistry.use("cg-hoist", log="off"), torch.set_grad_enabled(grad):
        answer = module(x, y, w)
        bound = module.__dict__["_tpregistry"].ground.kept.bound

        def kernel(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
            return answer

        for key, (_, decision) in bound.items():
            bound[key] = kernel, decision
        thunks = {
            "call": lambda: module.forward(x, y, w),
            "kernel": lambda: kernel(x, y, w),
            "checks": lambda: stock_checks(module, x, y, w),
            "nothing": lambda: None,
        }
        samples = interleaved(thunks, 10 * rounds, 100)
    return _parts(samples, min) | {f"median_{name}": value for name, value in _parts(samples, median).items()}


def _parts(samples: dict[str, list[float]], statistic: Callable[[list[float]], float]) -> dict[str, float]:
    """A call taken apart. A sample is 0.5 ms, so on a busy machine the least of many is one that nobody interrupted."""
    us = {name: 1e6 * statistic(found) for name, found in samples.items()}
    checks = us["checks"] - us["nothing"]
    return {"call_us": us["call"], "checks_us": checks, "guard_and_look_up_us": us["call"] - us["kernel"] - checks}


def bound_calls(stock: Callable[..., torch.Tensor], rounds: int) -> Rows:
    """µs of whole calls, forward without gradients: stock, patched but deciding for the host, and the kernel's."""
    return {
        f"{name} B={batch}": _whole(product(one, two, None, "uvu"), batch, stock, rounds)
        for name, (one, two, batch) in REAL.items()
    }


def _whole(module: Any, batch: int, stock: Callable[..., torch.Tensor], rounds: int) -> dict[str, float]:
    x, y, w = operands(module, batch, grad=False)

    def under(backend: str) -> Thunk:
        def call() -> torch.Tensor:
            with tpregistry.use(backend, log="off"):
                return module(x, y, w)

        return call

    thunks = {
        "stock": lambda: stock(module, x, y, w),
        "host": under("e3nn"),
        "cg-dense": under("cg-dense"),
        "cg-hoist": under("cg-hoist"),
    }
    with torch.no_grad():
        for thunk in [*thunks.values()] * 3:
            thunk()
        samples = interleaved(thunks, rounds, 3)
    ratios = {f"{name}_over_stock": _ratio(samples[name], samples["stock"]) for name in thunks if name != "stock"}
    return {"stock_us": 1e6 * median(samples["stock"])} | ratios


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def clean_environment(backend: str = "") -> dict[str, str]:
    """No settings of ours, and bytecode is kept, as in any installation."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(("TP_", "PYTHONDONTWRITE"))}
    return rest | ({"TP_BACKEND": backend} if backend else {})


def process(command: list[str], backend: str = "") -> Thunk:
    """Run a process to its end."""
    environment = clean_environment(backend)
    return lambda: subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def interpreter(folder: Path, startup: bool) -> str:
    """A venv of nothing but a path to tpregistry, with or without its start-up file: they differ in that one line."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib*/python*/site-packages"))
    (packages / "path.pth").write_text(f"{ROOT}\n")
    (packages / "tpregistry_startup.py").write_text((ROOT / "tpregistry" / "trigger.py").read_text())
    if startup:
        (packages / "tpregistry_startup.pth").write_text(STARTUP_LINE + "\n")
    return str(folder / "bin" / "python")


def milliseconds(samples: dict[str, list[float]]) -> Rows:
    return {name: {"least": 1e3 * min(found), "median": 1e3 * median(found)} for name, found in samples.items()}


def starts(rounds: int) -> Rows:
    """Milliseconds of `python -c pass`: without the start-up file, with it and no variable, and with TP_BACKEND=auto."""
    with tempfile.TemporaryDirectory() as name:
        bare, full = interpreter(Path(name) / "bare", startup=False), interpreter(Path(name) / "full", startup=True)
        thunks = {
            "no start-up file": process([bare, "-c", "pass"]),
            "start-up file, TP_BACKEND unset": process([full, "-c", "pass"]),
            "start-up file, TP_BACKEND=auto": process([full, "-c", "pass"], "auto"),
            "no start-up file, once more": process([bare, "-c", "pass"]),
        }
        samples = interleaved(thunks, rounds, 1)
        samples["the line alone, TP_BACKEND unset"] = [_line_seconds(bare, "") for _ in range(rounds // 2)]
        samples["the line alone, TP_BACKEND=auto"] = [_line_seconds(bare, "auto") for _ in range(rounds // 2)]
    return milliseconds(samples)


def _line_seconds(python: str, backend: str) -> float:
    code = f"import time; t = time.perf_counter(); exec({STARTUP_LINE!r}); print(time.perf_counter() - t)"
    run = subprocess.run([python, "-c", code], env=clean_environment(backend), check=True, capture_output=True, text=True)
    return float(run.stdout)


def commands(rounds: int) -> Rows:
    """Milliseconds of whole processes: bare Python, importing tpregistry, and `tpregistry list`."""
    script = Path(sys.executable).parent / "tpregistry"
    thunks = {
        "python -c pass": process([sys.executable, "-c", "pass"]),
        "python -c 'import tpregistry'": process([sys.executable, "-c", "import tpregistry"]),
    }
    listing = {"tpregistry list": process([str(script), "list"])}
    if script.exists() and subprocess.run([str(script), "list"], env=clean_environment(), capture_output=True).returncode == 0:
        thunks |= listing
    return milliseconds(interleaved(thunks, rounds, 1))


def goals(found: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """What was measured beside what it should be at most."""
    calls = found["guard_us"].items()
    least = {name: row["least"] for name, row in (found["starts_ms"] | found["commands_ms"]).items()}
    limits = {name: 5.0 if name.startswith("68 paths") else 3.0 for name, _ in calls}
    measured = {f"guard and look-up, µs: {name}": (row["guard_and_look_up_us"], limits[name]) for name, row in calls}
    measured["start-up line, TP_BACKEND unset, ms"] = least["the line alone, TP_BACKEND unset"], 0.1
    measured["start-up line, TP_BACKEND=auto, ms"] = least["the line alone, TP_BACKEND=auto"], 0.2
    measured["import tpregistry, ms over python"] = least["python -c 'import tpregistry'"] - least["python -c pass"], 30.0
    if "tpregistry list" in least:
        measured["tpregistry list, ms"] = least["tpregistry list"], 250.0
    return measured


def show(found: dict[str, Any]) -> None:
    """Three small tables."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    against = Table("goal", "measured", "at most", title="Goals", title_justify="left", box=None, header_style="dim")
    for name, (value, limit) in found["goals"].items():
        against.add_row(name, f"[{'green' if value <= limit else 'red'}]{value:.3g}", f"{limit:g}")
    calls = Table("call, no grad", title="Whole calls", title_justify="left", box=None, header_style="dim")
    for heading in next(iter(found["calls"].values())):
        calls.add_column(heading.replace("_", " "), justify="right")
    for name, row in found["calls"].items():
        calls.add_row(name, *(f"{value:.3g}" for value in row.values()))
    processes = Table(
        "process", "least ms", "median ms", title="Whole processes", title_justify="left", box=None, header_style="dim"
    )
    for name, value in (found["starts_ms"] | found["commands_ms"]).items():
        processes.add_row(name, f"{value['least']:.3f}", f"{value['median']:.3f}")
    console.print(against, "", calls, "", processes)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    rounds = 5 if args.quick else 60
    torch.set_num_threads(1)
    stock = o3.TensorProduct.forward
    with tempfile.TemporaryDirectory() as cache, tpregistry.use("auto", cache_dir=cache):
        tpregistry.patch()
        found: dict[str, Any] = {"guard_us": guard_and_look_up(rounds), "calls": bound_calls(stock, rounds)}
    found |= {"starts_ms": starts(rounds), "commands_ms": commands(max(5, rounds // 3))}
    found |= {"load": os.getloadavg()[0], "python": sys.version.split()[0], "torch": torch.__version__}
    found["goals"] = goals(found)
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "overheads.json").write_text(json.dumps(found, indent=1))
    show(found)


if __name__ == "__main__":
    main()
