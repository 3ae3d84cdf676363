"""Eight Tetris pieces, two of them mirror images: which products can tell them apart ("The Price of Freedom", section 6)?

    python benchmarks/paper/tetris.py                       every product, degrees 1 to 4 (about ten minutes on two cores)
    python benchmarks/paper/tetris.py --product gaunt --degree 2

Nodes are the centres of a piece's cubes, edges join neighbours (distance 1). Three message passes: product of node features and
harmonics of the edge, mean over neighbours, gate, linear map. Read out are seven even scalars and one odd; the odd one, times the
first, tells the mirror images apart. Pieces are turned at random in each step and in the test. Gaunt's product cannot make an
odd scalar from what is there, so it must stop at 7 of 8.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from e3nn import o3
from e3nn.nn import Gate

from tpregistry import torch as tp

HERE = Path(__file__).parent.parent
PIECES = torch.tensor(
    [
        [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 0)],
        [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, -1, 0)],
        [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)],
        [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3)],
        [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)],
        [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0)],
        [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 1)],
        [(0, 0, 0), (1, 0, 0), (1, 1, 0), (2, 1, 0)],
    ],
    dtype=torch.float32,
)
COPIES = 8
LAYERS = {
    "gaunt": tp.GauntTensorProduct,
    "gaunt and curl": tp.CompleteGauntTensorProduct,
    "vector signal": tp.VectorSignalTensorProduct,
    "matrix": tp.MatrixTensorProduct,
}
PRODUCTS = ("Clebsch-Gordan", *LAYERS)


def edges() -> tuple[torch.Tensor, torch.Tensor]:
    """Senders and receivers of neighbouring cubes, all pieces one after the other."""
    apart = torch.cdist(PIECES, PIECES)
    piece, sender, receiver = torch.nonzero((apart > 0.1) & (apart < 1.1), as_tuple=True)
    return 4 * piece + sender, 4 * piece + receiver


def product_layer(product: str, in1: o3.Irreps, in2: o3.Irreps, out: o3.Irreps) -> tuple[Any, o3.Irreps]:
    """A layer from in1 x in2 to what it reaches of ``out``, and those irreps."""
    if product == "Clebsch-Gordan":
        reached = {ir for _, a in in1 for _, b in in2 for ir in a * b}
        kept = o3.Irreps([(mul, ir) for mul, ir in out if ir in reached])
        return o3.FullyConnectedTensorProduct(in1, in2, kept), kept
    layer = LAYERS[product](in1, in2, out, COPIES, partly=True)
    kept = o3.Irreps([(mul, ir) for mul, ir in out if (ir.l, ir.p) in layer.reached])
    return LAYERS[product](in1, in2, kept, COPIES), kept


class Pass(torch.nn.Module):
    """One message pass with a gate: scalars get a nonlinearity, every other irrep is multiplied by a scalar."""

    def __init__(self, product: str, irreps: o3.Irreps, harmonics: o3.Irreps, degree: int) -> None:
        super().__init__()
        every = o3.Irreps([(COPIES, (l, p)) for l in range(degree + 1) for p in (1, -1)])
        _, reached = product_layer(product, irreps, harmonics, every)
        scalars = o3.Irreps([(mul, ir) for mul, ir in reached if ir.l == 0])
        gated = o3.Irreps([(mul, ir) for mul, ir in reached if ir.l > 0])
        acts = [torch.nn.functional.silu if ir.p == 1 else torch.tanh for _, ir in scalars]
        gates = o3.Irreps([(gated.num_irreps, (0, 1))]) if gated.num_irreps else o3.Irreps("")
        able = o3.Irrep("0e") in scalars or not gates  # fields of vectors make no scalar of scalars, so not in the first pass
        self.gate = Gate(scalars, acts, gates, [torch.sigmoid] * len(gates), gated) if able else torch.nn.Identity()
        self.irreps = self.gate.irreps_out.simplify() if able else reached
        self.product, _ = product_layer(product, irreps, harmonics, self.gate.irreps_in.simplify() if able else reached)
        self.skip = o3.Linear(irreps, self.irreps)

    def forward(self, x: torch.Tensor, y: torch.Tensor, senders: torch.Tensor, receivers: torch.Tensor) -> torch.Tensor:
        """Node features (nodes, irreps) from x (nodes, irreps) and y (edges, harmonics)."""
        messages = self.product(x[senders], y)
        counts = torch.bincount(receivers, minlength=len(x)).clamp(min=1)
        mean = messages.new_zeros(len(x), messages.shape[1]).index_add(0, receivers, messages) / counts[:, None]
        return self.gate(mean) + self.skip(x)


class Model(torch.nn.Module):
    """Three passes, then logits of the eight pieces."""

    def __init__(self, product: str, degree: int) -> None:
        super().__init__()
        self.harmonics = o3.Irreps.spherical_harmonics(degree)
        self.senders, self.receivers = edges()
        irreps, passes = o3.Irreps("0e"), []
        for _ in range(3):
            passes.append(Pass(product, irreps, self.harmonics, degree))
            irreps = passes[-1].irreps
        self.passes = torch.nn.ModuleList(passes)
        self.read_out = o3.Linear(irreps, "7x0e+0o")

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Logits (8, 8) of pieces with positions (32, 3)."""
        vectors = positions[self.receivers] - positions[self.senders]
        y = o3.spherical_harmonics(self.harmonics, vectors, normalize=True, normalization="component")
        x = positions.new_ones(len(positions), 1)
        for each in self.passes:
            x = each(x, y, self.senders, self.receivers)
        read = self.read_out(x).reshape(8, 4, 8).mean(1)
        odd = read[:, 7:] * read[:, :1]
        return torch.cat([odd, -odd, read[:, 1:7]], dim=1)


def turned() -> torch.Tensor:
    """The pieces, each turned at random, shape (32, 3)."""
    return torch.einsum("pij,pnj->pni", o3.rand_matrix(8), PIECES).reshape(-1, 3)


def train(product: str, degree: int, steps: int, seed: int) -> dict[str, Any]:
    """Accuracy on freshly turned pieces, at the end and the first time that all that can be told apart were."""
    torch.manual_seed(seed)
    model, labels, start = Model(product, degree), torch.arange(8), time.perf_counter()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(turned()), labels).backward()
        optimizer.step()
    with torch.no_grad():
        right = torch.stack([model(turned()).argmax(1) == labels for _ in range(20)]).float().mean(0)
    return {
        "product": product,
        "degree": degree,
        "steps": steps,
        "seed": seed,
        "right of 8": round(float(right.sum()), 3),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> int:
    """Train what was asked for; print a line each, keep all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", choices=PRODUCTS, nargs="+", default=PRODUCTS)
    parser.add_argument("--degree", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="tetris")
    asked = parser.parse_args()
    rows = []
    for product in asked.product:
        for degree in asked.degree:
            rows.append(train(product, degree, asked.steps, asked.seed))
            print("{product:15s} L = {degree}: {right of 8} of 8 in {steps} steps, {seconds} s".format(**rows[-1]), flush=True)
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    kept = {"versions": {"torch": torch.__version__}, "runs": rows}
    (folder / f"{asked.name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
