"""A whole flax model in JAX, stock and under tpregistry: energies with forces, and a step of training on forces, both jitted.

    python benchmarks/jax_model.py                                 (about three minutes on two cores)
    python benchmarks/jax_model.py --requests off auto cg-llvm --rounds 5

Two layers of message passing as tutorials write them, 1,500 edges. The settings take turns, in random order; ratios are taken
within turns. What is decided, and what its race measured, is told beside what became of it in the model.
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
os.environ |= {"TP_LOG": "off"}
os.environ.setdefault("TP_CACHE_DIR", tempfile.mkdtemp())

import e3nn_jax as e3nn  # noqa: E402
import flax.linen as nn  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

import tpregistry  # noqa: E402
from tpregistry import discovery  # noqa: E402
from tpregistry.frame import frame  # noqa: E402
from tpregistry.tune.race import interval  # noqa: E402

PACKAGES = ("tpregistry", "jax", "e3nn-jax", "flax", "llvmlite")
ATOMS, EDGES, SPECIES = 100, 1500, 3


class Layer(nn.Module):
    """Messages of neighbours, weighted by a network of their distance, and summed."""

    irreps: str

    @nn.compact
    def __call__(self, features: Any, vectors: Any, senders: Any, receivers: Any) -> Any:
        harmonics = e3nn.spherical_harmonics("0e+1o+2e", vectors, normalize=True)
        sent: Any = e3nn.flax.Linear(features.irreps, name="up")(features)
        messages = e3nn.tensor_product(sent[senders], harmonics, filter_ir_out=e3nn.Irreps(self.irreps))
        radial = e3nn.bessel(jnp.linalg.norm(vectors, axis=-1), 8, 3.0)
        weights = e3nn.flax.MultiLayerPerceptron((32, messages.irreps.num_irreps), jax.nn.silu)(radial)
        summed: Any = e3nn.scatter_sum(messages * weights, dst=receivers, output_size=features.shape[0])
        return e3nn.gate(e3nn.flax.Linear(gated(self.irreps), name="down")(summed / 4.0))


def gated(irreps: str) -> Any:
    """With a scalar for each copy that is gated."""
    out = e3nn.Irreps(irreps)
    return (out + f"{out.filter(drop=e3nn.Irreps('0e')).num_irreps}x0e").regroup()


class Model(nn.Module):
    """Energies of atoms, summed."""

    hidden: str

    @nn.compact
    def __call__(self, positions: Any, species: Any, senders: Any, receivers: Any) -> Any:
        features = e3nn.flax.Linear(e3nn.Irreps(self.hidden), name="embed")(
            e3nn.IrrepsArray(f"{SPECIES}x0e", jax.nn.one_hot(species, SPECIES))
        )
        for n in range(2):
            features = Layer(self.hidden, name=f"layer{n}")(features, positions[senders] - positions[receivers], senders, receivers)
        return jnp.sum(e3nn.flax.Linear(e3nn.Irreps("0e"), name="readout")(features).array)


def graph() -> tuple[Any, ...]:
    """Positions, species, senders, receivers: each atom has as many neighbours."""
    generator = np.random.default_rng(0)
    positions = generator.uniform(0, 4, (ATOMS, 3)).astype(np.float32)
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    senders = np.argsort(distance, axis=1)[:, 1 : 1 + EDGES // ATOMS].reshape(-1)
    receivers = np.repeat(np.arange(ATOMS), EDGES // ATOMS)
    return tuple(map(jnp.asarray, (positions, generator.integers(0, SPECIES, ATOMS), senders, receivers)))


def steps(hidden: str) -> dict[str, Callable[[], Any]]:
    """What programs do with it; each a jitted program of its own under each setting."""
    model, inputs = Model(hidden), graph()
    with tpregistry.use("off"):
        parameters = model.init(jax.random.PRNGKey(0), *inputs)

    def loss(parameters: Any, *inputs: Any) -> Any:
        energy, gradient = jax.value_and_grad(model.apply, argnums=1)(parameters, *inputs)
        return jnp.mean((gradient - 1.0) ** 2) + (energy / ATOMS) ** 2

    forces, training = jax.jit(jax.value_and_grad(model.apply, argnums=1)), jax.jit(jax.value_and_grad(loss))
    return {
        "forces": lambda: jax.block_until_ready(forces(parameters, *inputs)),
        "training": lambda: jax.block_until_ready(training(parameters, *inputs)),
    }


def measure(work: Callable[[], Any], requests: list[str], rounds: int, budget: float) -> dict[str, list[float]]:
    """Seconds by setting; the first two turns, in which products are tuned and programs compiled, do not count."""
    samples: dict[str, list[float]] = {request: [] for request in requests}
    order = random.Random(0)
    for turn in range(-2, rounds):
        for request in order.sample(requests, len(requests)):
            with tpregistry.use(request, budget=budget):
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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", default="16x0e+16x1o+16x2e")
    parser.add_argument("--requests", nargs="+", default=["off", "auto"], help="values of TP_BACKEND; the first is off")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--budget", type=float, default=60, help="seconds to tune a product")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    tpregistry.patch()
    found = {}
    for name, work in steps(args.hidden).items():
        found[name] = report(measure(work, args.requests, args.rounds, args.budget))
        for request, row in found[name].items():
            spread = f"{row['ratio']:.2f}x ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})"
            print(f"{name:9s} {request:8s} {1e3 * row['seconds']:7.1f} ms  {spread}", flush=True)
    decided = list(dict.fromkeys(map(str, tpregistry.decisions())))
    print(*decided, sep="\n", file=sys.stderr)
    versions = {name: version for name in PACKAGES if (version := discovery.installed_version(name))}
    where = frame("jax").environment("cpu") | {"versions": versions}
    body = {"machine": where, "hidden": args.hidden, "atoms": ATOMS, "edges": EDGES, "decisions": decided, "steps": found}
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "jax-model.json").write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
