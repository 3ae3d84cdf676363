"""Whole programs whose products stay with the host: training on forces, stock and under `auto`, in processes that take turns.

Where the host wins `auto` may cost nothing. Each process reports the processor time and the page faults of a step, and how far its
heap grew where the C library gives none of it back: memory that is kept longer shows there.

    python benchmarks/host_bound.py [--turns 6] [--steps 12] [--out benchmarks/results/host-bound.json]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

EDGES, NODES, CHANNELS, LAYERS = 1500, 100, 8, 3
KEEPING = {"MALLOC_TRIM_THRESHOLD_": "2000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}
"""With these the C library never gives memory back: no page is faulted in twice, and the heap is as large as its peak."""


def main() -> None:
    """Run the turns and write the result, or be one of the programs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "host-bound.json")
    parser.add_argument("--program", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.program:
        print(json.dumps(program(options.steps)))
        return
    found = {name: compared(options.turns, options.steps, extra) for name, extra in (("usual", {}), ("keeping", KEEPING))}
    about = {"edges": EDGES, "channels": CHANNELS, "layers": LAYERS, "turns": options.turns, "steps": options.steps}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(about | {"allocator": found}, indent=1) + "\n")
    for name, one in found.items():
        print(name, {key: one[key] for key in ("time_ratio", "stock_faults", "auto_faults", "stock_heap_mb", "auto_heap_mb")})


def compared(turns: int, steps: int, extra: dict[str, str]) -> dict[str, object]:
    """Both programs in turns, with some variables set."""
    runs: dict[str, list[dict[str, float]]] = {"stock": [], "auto": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(turns):
            for name, samples in runs.items():
                samples.append(started(name, steps, folder, extra))
    ratio = median(ours["ms"] / theirs["ms"] for ours, theirs in zip(runs["auto"], runs["stock"], strict=True))
    middle = {
        f"{name}_{key}": median(run[key] for run in many) for name, many in runs.items() for key in ("ms", "faults", "heap_mb")
    }
    return {"time_ratio": ratio, **middle, "runs": runs}


def started(name: str, steps: int, folder: str, extra: dict[str, str]) -> dict[str, float]:
    """One process; without a record and without measuring `auto` leaves every product to the host, as a record of it would."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("TP_")} | extra | {"OMP_NUM_THREADS": "1"}
    ours = {"TP_BACKEND": "auto", "TP_TUNE": "off", "TP_LOG": "off", "TP_CACHE_DIR": folder} if name == "auto" else {}
    command = [sys.executable, __file__, "--program", "--steps", str(steps)]
    return json.loads(subprocess.run(command, env=plain | ours, check=True, capture_output=True, text=True).stdout)


def program(steps: int) -> dict[str, float]:
    """Median processor time of a step in ms, its page faults, and the size of the heap afterwards."""
    step = training()
    for _ in range(3):
        step()
    before, times = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, []
    heap = heap_bytes()
    for _ in range(steps):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / steps
    return {"ms": 1e3 * median(times), "faults": faults, "heap_mb": max(heap, heap_bytes()) / 2**20}


def heap_bytes() -> int:
    """What the C library holds of the system, by mallinfo2: its arenas and its mapped blocks."""
    sizes = ctypes.c_size_t * 10

    class Info(ctypes.Structure):
        _fields_ = (("values", sizes),)

    function = ctypes.CDLL(None).mallinfo2
    function.restype = Info
    values = function().values
    return values[0] + values[4]


def training():
    """A step of training on forces of a small model of three convolutions."""
    import torch
    from e3nn import o3

    torch.manual_seed(0)
    hidden, harmonics = o3.Irreps([(CHANNELS, (l, (-1) ** l)) for l in range(3)]), o3.Irreps.spherical_harmonics(2)
    paths, out = [], []
    for i, (mul, one) in enumerate(hidden):
        for j, (_, other) in enumerate(harmonics):
            for ir in one * other:
                if ir in hidden:
                    paths.append((i, j, len(out), "uvu", True))
                    out.append((mul, ir))
    options = {"shared_weights": False, "internal_weights": False}
    products = [o3.TensorProduct(hidden, harmonics, o3.Irreps(out), paths, **options) for _ in range(LAYERS)]
    radial = [torch.nn.Linear(8, product.weight_numel) for product in products]
    mix = [o3.Linear(o3.Irreps(out), hidden) for _ in products]
    model = torch.nn.ModuleList([*products, *radial, *mix])
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    positions, senders = torch.randn(NODES, 3), torch.randint(NODES, (EDGES,))
    receivers = (senders + 1 + torch.randint(NODES - 2, (EDGES,))) % NODES

    def energy(at: torch.Tensor) -> torch.Tensor:
        vectors = at[receivers] - at[senders]
        y = o3.spherical_harmonics(harmonics, vectors, True)
        basis = torch.exp(-((vectors.norm(dim=1, keepdim=True) - torch.linspace(0, 3, 8)) ** 2))
        h = torch.ones(NODES, hidden.dim)
        for product, weights, linear in zip(products, radial, mix, strict=True):
            message = product(h[senders], y, weights(basis))
            h = h + linear(torch.zeros(NODES, message.shape[1]).index_add(0, receivers, message)) / 10
        return h[:, :CHANNELS].sum()

    def step() -> None:
        at = positions.clone().requires_grad_()
        total = energy(at)
        (force,) = torch.autograd.grad(total, at, create_graph=True)
        optimizer.zero_grad()
        (force.square().mean() + 1e-3 * total).backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
