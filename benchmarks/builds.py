"""What it takes to build cg-llvm kernels: writing and compiling each order's code, and loading it from disk in a later process.

python benchmarks/builds.py
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tpregistry.frame import frame
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.native import Machine, compiler
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Mode, Problem
from tpregistry.store import Code
from tpregistry.testing import real_problems
from tpregistry_cg.llvm.emitter import write

HERE = Path(__file__).parent
ORDERS = ("forward", "backward", "double backward")


def subjects() -> dict[str, Problem]:
    """Real products, one of all parities, and one of degree 6."""
    real = real_problems()
    names = ("mace-mp-0 medium layer 2", "nequip L inner", "sevennet-l3i5 inner", "nequip XL inner")
    parities = "+".join(f"64x{degree}{p}" for degree in range(4) for p in "eo")
    natural = "+".join(f"64x{degree}{'eo'[degree % 2]}" for degree in range(7))
    made = {
        "all parities to degree 3": (parities, "0e+1o+2e+3o", parities),
        "natural parity to degree 6": (natural, "0e+1o+2e+3o+4e+5o+6e", natural),
    }
    return {name: real[name] for name in names} | {
        name: problem_from_irreps(*texts, Mode.UVU, shared_weights=False, dtype="float32") for name, texts in made.items()
    }


def measure(problem: Problem, kept: Code) -> dict[str, dict[str, float]]:
    """Seconds for each order: cold, and from disk."""
    plan, found = plan_tensor_product(problem), {}
    for order in ORDERS:
        start = time.perf_counter()
        source = write(plan, Machine("float", compiler.vector_bytes() // 4)).source
        compiler.load(source, kept)
        cold = time.perf_counter() - start
        compiler._loaded.clear()
        start = time.perf_counter()
        compiler.load(source, kept)
        found[order] = {"seconds": cold, "from_disk_seconds": time.perf_counter() - start, "source_bytes": len(source)}
        plan = plan.vjp()
    return found


def table(rows: dict[str, Any]) -> Table:
    shown = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("product", "paths", *(f"{order} s" for order in ORDERS), "from disk, each s"):
        shown.add_column(heading, justify="left" if heading == "product" else "right")
    for name, row in rows.items():
        cold = [f"{row['orders'][order]['seconds']:.2f}" for order in ORDERS]
        disk = ", ".join(f"{row['orders'][order]['from_disk_seconds']:.3f}" for order in ORDERS)
        shown.add_row(name, str(row["paths"]), *cold, disk)
    return shown


def main() -> None:
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, problem in subjects().items():
            rows[name] = {"paths": len(problem.paths), "orders": measure(problem, Code(Path(folder)))}
    Console(width=140).print(table(rows))
    versions = {name: metadata.version(name) for name in ("tpregistry", "llvmlite")}
    where = frame("torch").environment("cpu") | {"load_before": os.getloadavg()[0], "versions": versions}
    (HERE / "results" / "builds.json").write_text(json.dumps({"machine": where, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
