"""Models as people write them, in equinox, flax and haiku: energies, forces and training steps as stock's."""

from __future__ import annotations

from collections.abc import Callable

import e3nn_jax as e3nn
import equinox
import flax.linen
import haiku
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from nequix.model import Nequix

import tpregistry
from tests.jax.conftest import force

pytestmark = pytest.mark.xla

ATOMS, SPECIES = 12, 3
RADIUS = 2.5


def graph(seed: int = 0):
    """Atoms in a box, each pair within reach joined both ways."""
    generator = np.random.default_rng(seed)
    positions = generator.uniform(0, 4, (ATOMS, 3)).astype(np.float32)
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    senders, receivers = np.nonzero((distance < RADIUS) & (distance > 0))
    return jnp.asarray(positions), jnp.asarray(generator.integers(0, SPECIES, ATOMS)), jnp.asarray(senders), jnp.asarray(receivers)


def nequix():
    """Nequix 0.4.5 as its own configuration builds it, smaller."""
    model = Nequix(
        jax.random.PRNGKey(0), SPECIES, lmax=2, cutoff=RADIUS, hidden_irreps="8x0e+8x1o+8x2e", n_layers=3, avg_n_neighbors=6.0
    )
    parameters, static = equinox.partition(model, equinox.is_inexact_array)

    def energy(parameters, positions, species, senders, receivers):
        whole = equinox.combine(parameters, static)
        return jnp.sum(whole.node_energies(positions[senders] - positions[receivers], species, senders, receivers))

    return parameters, energy


class FlaxLayer(flax.linen.Module):
    """A message-passing step of a tutorial."""

    irreps: str

    @flax.linen.compact
    def __call__(self, features, vectors, senders, receivers):
        harmonics = e3nn.spherical_harmonics("0e+1o", vectors, normalize=True)
        messages = e3nn.tensor_product(e3nn.flax.Linear(features.irreps)(features)[senders], harmonics)
        radial = e3nn.flax.MultiLayerPerceptron([16, messages.irreps.num_irreps], jax.nn.silu)(
            jnp.linalg.norm(vectors, axis=-1)[:, None]
        )
        gathered = e3nn.scatter_sum(messages * radial, dst=receivers, output_size=features.shape[0])
        return e3nn.flax.Linear(self.irreps)(e3nn.concatenate([gathered, e3nn.tensor_square(features)]).regroup())


class FlaxModel(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, positions, species, senders, receivers):
        features = e3nn.IrrepsArray(f"{SPECIES}x0e", jax.nn.one_hot(species, SPECIES))
        for irreps in ("4x0e+4x1o", "4x0e"):
            features = FlaxLayer(irreps)(features, positions[senders] - positions[receivers], senders, receivers)
        return jnp.sum(features.array)


def flax_model():
    model = FlaxModel()
    return model.init(jax.random.PRNGKey(0), *graph()), model.apply


def haiku_model():
    """Fully connected products, which haiku's layer builds from functional ones and maps over."""

    def forward(positions, species, senders, receivers):
        features = e3nn.IrrepsArray(f"{SPECIES}x0e", jax.nn.one_hot(species, SPECIES))
        vectors = positions[senders] - positions[receivers]
        harmonics = e3nn.spherical_harmonics("0e+1o", vectors, normalize=True) * jnp.exp(-jnp.sum(vectors**2, -1, keepdims=True))
        for irreps in ("4x0e+4x1o", "2x0e"):
            messages = e3nn.haiku.FullyConnectedTensorProduct(irreps)(features[senders], harmonics)
            features = e3nn.scatter_sum(messages, dst=receivers, output_size=ATOMS)
        return jnp.sum(features.array)

    model = haiku.without_apply_rng(haiku.transform(forward))
    return model.init(jax.random.PRNGKey(0), *graph()), model.apply


MODELS: dict[str, Callable] = {"nequix": nequix, "flax": flax_model, "haiku": haiku_model}


def results(make: Callable) -> dict[str, object]:
    """Energy, forces and the parameters after three steps of training on forces; compiled anew."""
    jax.clear_caches()
    parameters, energy = make()
    batch = graph()
    value_and_forces = jax.jit(jax.value_and_grad(energy, argnums=1))
    optimizer = optax.sgd(1e-3)
    targets = jnp.ones((ATOMS, 3))

    def loss(parameters):
        return jnp.mean((jax.grad(energy, argnums=1)(parameters, *batch) - targets) ** 2)

    step = jax.jit(lambda parameters, state: optimizer.update(jax.grad(loss)(parameters), state))
    found = {"energy and forces": value_and_forces(parameters, *batch)}
    state = optimizer.init(parameters)
    for _ in range(3):
        updates, state = step(parameters, state)
        parameters = optax.apply_updates(parameters, updates)
    return found | {"trained": parameters}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("backend", ["auto", "cg-llvm"])
def test_models(name, backend, patched_jax, monkeypatch):
    monkeypatch.setenv("TP_BUDGET", "5")
    with tpregistry.use("off"):
        stock = results(MODELS[name])
    force(backend, monkeypatch)
    ours = results(MODELS[name])
    decided = tpregistry.decisions()
    assert decided
    if backend != "auto":
        assert {decision.backend for decision in decided} == {backend}
    for quantity, expected in stock.items():
        for a, b in zip(jax.tree.leaves(ours[quantity]), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * max(1.0, float(jnp.abs(b).max(initial=0))))
    print(*decided, sep="\n")
