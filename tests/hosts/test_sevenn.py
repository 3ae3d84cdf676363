"""The pretrained SevenNet-0 inside the sevenn wheel, as an ASE calculator: stock, auto, and each backend forced."""

import numpy as np
import pytest
import torch
from ase import Atoms
from sevenn.atom_graph_data import AtomGraphData
from sevenn.calculator import SevenNetCalculator
from sevenn.train.dataload import unlabeled_atoms_to_graph

import tpregistry
from tests.hosts.conftest import calls

pytestmark = [pytest.mark.usefixtures("patched"), pytest.mark.processes]
BACKENDS = ["auto", "cg-dense", "cg-hoist", "cg-llvm"]


def properties(crystal, request: str) -> tuple[float, np.ndarray, np.ndarray]:
    atoms = crystal.copy()
    atoms.calc = SevenNetCalculator("7net-0", device="cpu")
    with tpregistry.use(request, budget=3):
        return atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()


@pytest.mark.parametrize("backend", BACKENDS)
def test_energy_forces_and_stress(backend, crystal) -> None:
    energy, forces, stress = properties(crystal, "off")
    ours = properties(crystal, backend)
    assert abs(ours[0] - energy) < 1e-5 * abs(energy)
    assert abs(ours[1] - forces).max() < 2e-5 * abs(forces).max()
    assert abs(ours[2] - stress).max() < 2e-5 * abs(stress).max()
    if backend != "auto":
        assert calls()[backend] >= 5, "five convolutions"


def losses(crystal: Atoms, request: str) -> list[float]:
    """Of three steps of training on forces."""
    calculator = SevenNetCalculator("7net-0", device="cpu")
    model = calculator.model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    found = []
    with tpregistry.use(request, budget=3):
        for _ in range(3):
            out = model(AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(crystal, calculator.cutoff, with_shift=False)))
            loss = out["inferred_force"].square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(float(loss.detach()))
    return found


@pytest.fixture(scope="module")
def stock_losses(crystal: Atoms) -> list[float]:
    return losses(crystal, "off")


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_on_forces_gives_the_same_losses(backend, crystal, stock_losses) -> None:
    assert len(set(stock_losses)) == 3, "the weights change from step to step"
    np.testing.assert_allclose(losses(crystal, backend), stock_losses, rtol=2e-4)
    assert 2 in {decision.problem.derivatives for decision in tpregistry.decisions()}
    assert backend == "auto" or set(calls()) == {backend}
