"""Three factors on one grid beside the chain of products, forward and with gradients.

    python benchmarks/paper/many_body.py             L_in = 3, three factors, L_out = 2, as in MACE's contraction

All compute the same function (checked first): powers of a signal, projected to L_out. The chain is a Gaunt product after
another, to degrees that grow, so that nothing is truncated in between: by `gtp-grid`, which goes to the sphere and back for
each, and as the chain of the registry by others (it cuts off what cannot come back). Contestants take turns; medians.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

import tpregistry
from tpregistry.torch import gaunt, gaunt_many_body
from tpregistry.tune.race import sample

RESULTS = Path(__file__).parent.parent / "results"


def signal(channels: int, degree: int) -> str:
    """One irrep of each degree, of natural parity."""
    return "+".join(f"{channels}x{l}{'eo'[l % 2]}" for l in range(degree + 1))


def chain(x: torch.Tensor, channels: int, first: int, last: int, order: int) -> list[torch.Tensor]:
    """Powers by products of two, each to the degree that it can reach."""
    power, found, width = x, [], signal(channels, first)
    dim = channels * (last + 1) ** 2
    for n in range(1, order):
        found.append(power[:, :dim])
        reached = signal(channels, first * (n + 1) if n + 1 < order else last)
        power, width = gaunt(power, x, width, signal(channels, first), reached, "integral"), reached
    return [*found, power]


def with_gradients(function: Callable[[torch.Tensor], list[torch.Tensor]], x: torch.Tensor) -> Callable[[], None]:
    """Forward and backward of all powers."""

    def once() -> None:
        torch.autograd.grad([power.sum() for power in function(x)], x)

    return once


def main() -> int:
    """Check, time, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("channels", 128), ("nodes", 200), ("degree", 3), ("last", 2), ("order", 3), ("rounds", 15)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument(
        "--backends", nargs="*", default=["gtp-llvm", "cg-llvm", "auto"], help="of gaunt_many_body, beside gtp-grid"
    )
    asked = parser.parse_args()
    x = torch.randn(asked.nodes, asked.channels * (asked.degree + 1) ** 2, requires_grad=True)
    sizes = asked.channels, asked.degree, asked.last, asked.order

    irreps = signal(asked.channels, asked.degree), signal(asked.channels, asked.last)

    def on(backend: str, way: Callable[..., list[torch.Tensor]], *arguments: Any) -> Callable[[torch.Tensor], list[torch.Tensor]]:
        def run(x: torch.Tensor) -> list[torch.Tensor]:
            with tpregistry.use(backend=backend):
                return way(x, *arguments)

        return run

    ways = {"one grid": on("gtp-grid", gaunt_many_body, asked.order, *irreps), "chain, gtp-grid": on("gtp-grid", chain, *sizes)}
    ways |= {f"gaunt_many_body, {name}": on(name, gaunt_many_body, asked.order, *irreps) for name in asked.backends}
    for name, way in ways.items():
        for ours, theirs in zip(ways["one grid"](x), way(x), strict=True):
            assert (ours - theirs).abs().max() < 1e-4 * ours.abs().max(), name
    thunks = {"forward": {name: (lambda way=way: way(x.detach())) for name, way in ways.items()}}
    thunks["with gradients"] = {name: with_gradients(way, x) for name, way in ways.items()}
    kept = {}
    for pattern, these in thunks.items():
        kept[pattern] = {name: median(found) for name, found in sample(these, asked.rounds).items()}
        for name, micros in kept[pattern].items():
            print(f"{pattern:15s} {name:26s} {micros / 1e3:9.2f} ms   {micros / kept[pattern]['one grid']:.2f}x of one grid")
    (RESULTS / "paper-many-body.json").write_text(json.dumps({"asked": vars(asked), "median_us": kept}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
