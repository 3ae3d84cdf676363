"""What cg-triton's kernels need of a GPU, without one: registers, spills and processor seconds of compilation.

    python benchmarks/triton_resources.py --only mace      (all of them: an hour, long kernels compile slowly)

Every real product, and one with all parities to degree 3, of 68 paths; products and convolutions, forward, backward and double
backward; compiled ahead of time for NVIDIA's and AMD's, and read from binaries by the cuobjdump that comes with Triton, or
from assembly.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Mode
from tpregistry.testing import real_problems
from tpregistry.testing.real import channelwise_problem
from tpregistry_cg.triton.kernel import TritonPlan
from tpregistry_cg.triton.resources import ARCHITECTURES, resources

HERE = Path(__file__).parent
LONG = "64x0e+64x0o+64x1e+64x1o+64x2e+64x2o+64x3e+64x3o", "0e+1o+2e+3o", "0e+0o+1e+1o+2e+2o+3e+3o"
ORDERS = ("forward", "backward", "double backward")
HEADINGS = ("product", "paths", "operation", "order", "architecture", "kernels", "registers", "bytes spilled", "seconds")


def rows(only: str, dtype: str, architectures: Sequence[str]) -> Any:
    """One for each product, operation, order and architecture: all of its kernels."""
    every = real_problems(dtype) | {"all parities to 3e+3o": channelwise_problem(*LONG, dtype)}
    for name, problem in every.items():
        if only not in name or problem.paths[0].mode is not Mode.UVU:
            continue
        for operation, nodes in (("tensor_product", 0), ("tensor_product_conv", 64)):
            kernel = TritonPlan(plan_tensor_product(problem.at(operation=operation, nodes=nodes)), getattr(torch, dtype))
            for order in ORDERS:
                for architecture in architectures:
                    found = [asdict(one) for one in resources(kernel, architecture)]
                    yield {
                        "product": name,
                        "dtype": dtype,
                        "paths": len(problem.paths),
                        "operation": operation,
                        "order": order,
                        "kernels": found,
                    }
                kernel = kernel.vjp()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="products whose name holds this")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--architectures", nargs="+", default=ARCHITECTURES)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    args, found = parser.parse_args(), []
    os.environ["TRITON_CACHE_DIR"] = tempfile.mkdtemp()
    shown = Table(*HEADINGS, box=None, padding=(0, 1), header_style="dim")
    for row in rows(args.only, args.dtype, args.architectures):
        found.append(row)
        every = row["kernels"]
        numbers = (max(k["registers"] for k in every), max(k["spilled"] for k in every), round(sum(k["seconds"] for k in every), 1))
        cells = (row["product"], row["paths"], row["operation"], row["order"], every[0]["architecture"], len(every), *numbers)
        shown.add_row(*map(str, cells))
        print(*cells, file=sys.stderr, flush=True)
    Console(width=None if sys.stdout.isatty() else 160).print(shown)
    args.results.mkdir(parents=True, exist_ok=True)
    versions = {name: metadata.version(name) for name in ("tpregistry", "triton")}
    name = "triton_resources" + ("" if args.dtype == "float32" else f"-{args.dtype}")
    (args.results / f"{name}.json").write_text(json.dumps({"versions": versions, "rows": found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
