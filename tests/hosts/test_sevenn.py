"""The pretrained SevenNet-0 inside the sevenn wheel, as an ASE calculator: stock, auto, and each backend forced."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from e3nn.util import jit
from sevenn.atom_graph_data import AtomGraphData
from sevenn.calculator import SevenNetCalculator
from sevenn.nn.convolution import IrrepsConvolution
from sevenn.nn.node_embedding import OnehotEmbedding
from sevenn.train.dataload import unlabeled_atoms_to_graph

import tpregistry
from tests.hosts.conftest import calls, convolutions
from tests.sites.test_life import WITHOUT
from tpregistry_sevenn.adapter import Adapter


@pytest.fixture
def _sites(patched: object) -> Iterator[None]:
    """Its convolutions are ours."""
    adapter = Adapter()
    adapter.patch()
    assert not tpregistry.decisions().out_of_reach
    yield
    adapter.unpatch()


pytestmark = [pytest.mark.usefixtures("_sites"), pytest.mark.processes]
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
    assert convolutions() == 5 or backend == "auto"
    assert calls()[backend] >= 5 or backend == "auto"
    assert not tpregistry.decisions().left_to_host


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


def exact(crystal: Atoms) -> tuple[torch.nn.Module, AtomGraphData]:
    """The model in float64 (which makes its species and graphs float32 whatever it is), and a graph."""
    calculator = SevenNetCalculator("7net-0", device="cpu")
    model = calculator.model.double().train()
    for module in model.modules():
        if isinstance(module, OnehotEmbedding):
            module.register_forward_hook(lambda module, inputs, data: widened(data))
    graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(crystal, calculator.cutoff, with_shift=False))
    return model, widened(graph)


def widened(data: AtomGraphData) -> AtomGraphData:
    for key, value in list(data.items()):
        if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
            data[key] = value.double()
    return data


def trained(crystal: Atoms, request: str) -> list[torch.Tensor]:
    """Energy, forces, stress and the gradients of all parameters, in each of three steps of training on forces and stress."""
    model, graph = exact(crystal)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    found = []
    with tpregistry.use(request):
        for _ in range(3):
            out = model(graph.clone())
            loss = out["inferred_force"].square().mean() + out["inferred_stress"].square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            kept = [out["inferred_total_energy"], out["inferred_force"], out["inferred_stress"]]
            found += [one.detach().clone() for one in (*kept, *(p.grad for p in model.parameters() if p.grad is not None))]
    return found


def test_parameters_are_trained_as_by_stock_code(crystal: Atoms) -> None:
    found, expected = trained(crystal, "cg-llvm"), trained(crystal, "off")
    assert convolutions() == 15
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9 * max(1.0, float(other.abs().max())))


def energy(model: torch.nn.Module, crystal: Atoms) -> float:
    graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(crystal, 5.0, with_shift=False))
    return float(model(graph)["inferred_total_energy"].detach())


def test_blocks_of_parallel_models_stay_stock(crystal: Atoms) -> None:
    """They take features of ghosts from LAMMPS; one without ghosts is enough to see which code runs."""
    model = SevenNetCalculator("7net-0", device="cpu").model
    blocks = [module for module in model.modules() if isinstance(module, IrrepsConvolution)]
    expected = energy(model, crystal)
    blocks[0].is_parallel = True
    with tpregistry.use("cg-llvm"), pytest.raises(KeyError, match="x_ghost"):
        energy(model, crystal)
    assert tpregistry.decisions().left_to_host == {"IrrepsConvolution.forward: a parallel block": 1}
    blocks[0].is_parallel = False
    with tpregistry.use("cg-llvm"):
        assert energy(model, crystal) == pytest.approx(expected, rel=1e-6)


@pytest.mark.processes
def test_what_is_saved_runs_without_tpregistry(crystal: Atoms, tmp_path: Path) -> None:
    """The whole model, and as TorchScript, as `sevenn deploy` makes it."""
    model = SevenNetCalculator("7net-0", device="cpu").model
    with tpregistry.use("cg-llvm"):
        expected = energy(model, crystal)
        torch.save(model, tmp_path / "whole.pt")
        types = model._atomic_numbers_to_onehot(torch.as_tensor(crystal.get_atomic_numbers()))
        model.eval_type_map = False  # as `sevenn deploy` does: species come as types
        jit.script(model).save(str(tmp_path / "scripted.pt"))
    assert b"tpregistry" not in (tmp_path / "whole.pt").read_bytes()
    assert b"tpregistry" not in (tmp_path / "scripted.pt").read_bytes()
    graph = unlabeled_atoms_to_graph(crystal, 5.0, with_shift=False)
    torch.save(graph, tmp_path / "given.pt")
    torch.save(types, tmp_path / "types.pt")
    program = (
        WITHOUT.replace('"given.pt"', '"given.pt", weights_only=False')
        + f"""
from sevenn.atom_graph_data import AtomGraphData
for model in (torch.load("whole.pt", weights_only=False), torch.jit.load("scripted.pt")):
    data = AtomGraphData.from_numpy_dict(given)
    if isinstance(model, torch.jit.ScriptModule):
        data = {{key: value for key, value in data.to_dict().items() if isinstance(value, torch.Tensor)}}
        data[model.key_node_feature] = torch.load("types.pt")
    assert abs(float(model(data)["inferred_total_energy"]) - {expected}) < 1e-4
assert not [name for name in sys.modules if name.startswith("tpregistry")]
"""
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
