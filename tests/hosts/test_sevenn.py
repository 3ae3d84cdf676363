"""The pretrained SevenNet-0 inside the sevenn wheel, as an ASE calculator: stock, auto, and each backend forced."""

import numpy as np
import pytest
from sevenn.calculator import SevenNetCalculator

import tpregistry
from tests.hosts.conftest import calls

pytestmark = pytest.mark.usefixtures("patched")


def properties(crystal, request: str) -> tuple[float, np.ndarray, np.ndarray]:
    atoms = crystal.copy()
    atoms.calc = SevenNetCalculator("7net-0", device="cpu")
    with tpregistry.use(request, budget=3):
        return atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()


@pytest.mark.parametrize("backend", ["auto", "cg-dense", "cg-hoist", "cg-llvm"])
def test_energy_forces_and_stress(backend, crystal) -> None:
    energy, forces, stress = properties(crystal, "off")
    ours = properties(crystal, backend)
    assert abs(ours[0] - energy) < 1e-5 * abs(energy)
    assert abs(ours[1] - forces).max() < 2e-5 * abs(forces).max()
    assert abs(ours[2] - stress).max() < 2e-5 * abs(stress).max()
    if backend != "auto":
        assert calls()[backend] >= 5, "five convolutions"


def test_training_on_forces_gives_the_same_losses(crystal) -> None:
    import torch

    def losses(request: str) -> list[float]:
        calculator = SevenNetCalculator("7net-0", device="cpu")
        model = calculator.model.train()
        from sevenn.atom_graph_data import AtomGraphData
        from sevenn.train.dataload import unlabeled_atoms_to_graph

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

    stock = losses("off")
    assert len(set(stock)) == 3
    np.testing.assert_allclose(losses("cg-hoist"), stock, rtol=2e-4)
    assert 2 in {decision.problem.derivatives for decision in tpregistry.decisions()}
