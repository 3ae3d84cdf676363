"""A MACE of published size (128x0e+128x1o, correlation 3) on e3nn 0.4.4: energies, forces, stress and training."""

import copy
import io

import numpy as np
import pytest
import torch
from mace.calculators import MACECalculator

import tpregistry
from tests.hosts.conftest import calls
from tests.hosts.mace_model import batch, mace

pytestmark = [pytest.mark.usefixtures("patched"), pytest.mark.processes]


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return mace()


@pytest.mark.parametrize("backend", ["auto", "cg-dense", "cg-hoist", "cg-llvm"])
def test_energy_forces_and_stress_of_a_calculator(backend, model, crystal) -> None:
    def properties(request: str) -> tuple[float, np.ndarray, np.ndarray]:
        atoms = crystal.copy()
        atoms.calc = MACECalculator(models=[copy.deepcopy(model)], device="cpu", default_dtype="float32")
        with tpregistry.use(request, budget=3):
            return atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()

    energy, forces, stress = properties("off")
    ours = properties(backend)
    scale = abs(forces).max()
    assert abs(ours[0] - energy) < 1e-5 * max(1.0, abs(energy))
    assert abs(ours[1] - forces).max() < 2e-5 * scale
    assert abs(ours[2] - stress).max() < 2e-5 * abs(stress).max()
    assert scale > 1e-3, "the crystal is rattled, so there are forces"
    products = calls()
    if backend != "auto":
        assert products[backend] >= 4, "two convolutions and two skip connections"
        assert set(products) <= {backend, "e3nn"}


@pytest.mark.parametrize("backend", ["auto", "cg-dense", "cg-hoist", "cg-llvm"])
def test_training_on_forces_gives_the_same_losses(backend, model, crystal) -> None:
    def losses(request: str) -> list[float]:
        trained = copy.deepcopy(model)
        optimizer = torch.optim.SGD(trained.parameters(), lr=1e-3)
        found = []
        with tpregistry.use(request, budget=3):
            for _ in range(3):
                out = trained(batch(crystal), training=True, compute_force=True)
                loss = out["forces"].square().mean() + (out["energy"] - 1.0).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                found.append(float(loss.detach()))
        return found

    stock = losses("off")
    assert len(set(stock)) == 3, "the weights change from step to step"
    np.testing.assert_allclose(losses(backend), stock, rtol=2e-4)
    assert 2 in {decision.problem.derivatives for decision in tpregistry.decisions()}


def test_whole_model_pickles_are_accelerated_and_stay_stock(model, crystal) -> None:
    """Published MACE models are whole-module pickles: no constructor runs when they are loaded."""
    file = io.BytesIO()
    with tpregistry.use("cg-hoist"):
        model(batch(crystal), compute_force=True)
        torch.save(model, file)
    assert b"tpregistry" not in file.getvalue()
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    before = calls().get("cg-hoist", 0)
    with tpregistry.use("cg-hoist"):
        energy = loaded(batch(crystal), compute_force=False)["energy"]
    assert calls()["cg-hoist"] > before
    with tpregistry.use("off"):
        torch.testing.assert_close(energy, loaded(batch(crystal), compute_force=False)["energy"], rtol=1e-5, atol=1e-5)
