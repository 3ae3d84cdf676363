"""NequIP 0.19 with random weights: its calculator, training on forces, and what its exports hold."""

import copy
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from e3nn.util import jit
from nequip.scripts._package_utils import _EXTERNAL_MODULES, _INTERNAL_MODULES, _MOCK_MODULES
from nequip.utils.compile import prepare_model_for_compile
from nequip.utils.global_state import set_global_state
from torch.package import PackageExporter, PackageImporter

import tpregistry
from tests.hosts.conftest import calls, convolutions
from tests.hosts.nequip_model import batch, calculator, nequip
from tests.sites.test_life import WITHOUT
from tpregistry_nequip.adapter import Adapter


@pytest.fixture
def _sites(patched: object) -> Iterator[None]:
    """Its convolutions are ours."""
    adapter = Adapter()
    adapter.patch()
    assert not tpregistry.decisions().out_of_reach
    yield
    adapter.unpatch()


pytestmark = [pytest.mark.usefixtures("_sites", "_as_nequip_sets_it"), pytest.mark.slow]
BACKENDS = ["auto", "cg-dense", "cg-hoist", "cg-llvm"]


@pytest.fixture(scope="module")
def _as_nequip_sets_it() -> Iterator[None]:
    """NequIP makes float64 the default of its whole process; later tests get theirs back."""
    before = torch.get_default_dtype()
    set_global_state()
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def model(_as_nequip_sets_it: None) -> torch.nn.Module:
    return nequip()


@pytest.fixture
def frames(crystal: Atoms) -> list[Atoms]:
    other = crystal.copy()
    other.rattle(0.05, seed=1)
    return [crystal, other]


@pytest.mark.parametrize("backend", BACKENDS)
def test_energy_forces_and_stress_of_its_calculator(backend, model, crystal) -> None:
    def properties(request: str) -> tuple[float, np.ndarray, np.ndarray]:
        atoms = crystal.copy()
        atoms.calc = calculator(copy.deepcopy(model))
        with tpregistry.use(request, budget=3):
            return atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()

    energy, forces, stress = properties("off")
    ours = properties(backend)
    assert abs(ours[0] - energy) < 1e-5 * max(1.0, abs(energy))
    assert abs(ours[1] - forces).max() < 2e-5 * abs(forces).max()
    assert abs(ours[2] - stress).max() < 2e-5 * abs(stress).max()
    assert abs(forces).max() > 1e-3, "the crystal is rattled, so there are forces"
    assert not tpregistry.decisions().left_to_host
    if backend != "auto":
        assert calls()[backend] >= 5, "three convolutions and two self-connections"
        assert convolutions() >= 3


def losses(model: torch.nn.Module, data: dict[str, torch.Tensor], request: str) -> list[float]:
    """Of three steps of training on forces and stress."""
    trained = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(trained.parameters(), lr=1e-2)
    found = []
    with tpregistry.use(request, budget=3):
        for _ in range(3):
            out = trained(data.copy())
            loss = out["forces"].square().mean() + out["stress"].square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(float(loss.detach()))
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_on_forces_gives_the_same_losses(backend, model, frames) -> None:
    data = batch(model, frames)
    stock = losses(model, data, "off")
    assert len(set(stock)) == 3, "the weights change from step to step"
    np.testing.assert_allclose(losses(model, data, backend), stock, rtol=2e-4)
    assert 2 in {decision.problem.derivatives for decision in tpregistry.decisions()}
    assert not tpregistry.decisions().left_to_host


def test_its_torchscript_export_holds_stock_code(model, crystal) -> None:
    data = batch(model, [crystal])
    given = {key: data[key] for key in model.model_input_fields if key in data}
    with tpregistry.use("off"):
        energy = copy.deepcopy(model)(given.copy())["total_energy"]
    with tpregistry.use("cg-llvm"):
        scripted = jit.script(prepare_model_for_compile(copy.deepcopy(model), "cpu"))
        torch.testing.assert_close(scripted(given.copy())["total_energy"], energy, rtol=1e-5, atol=1e-5)
    assert calls()["cg-llvm"] == 0


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_a_packaged_model_runs_the_copy_of_e3nn_that_it_brings(model, crystal, tmp_path) -> None:
    """`nequip-package` writes e3nn's source beside the weights: classes of their own, which stay stock."""
    data = batch(model, [crystal])
    with tpregistry.use("cg-llvm"):
        energy = model(data.copy())["total_energy"]
        with PackageExporter(tmp_path / "model.nequip.zip") as package:
            package.mock([f"{name}.**" for name in _MOCK_MODULES])
            package.extern([f"{name}.**" for name in _EXTERNAL_MODULES])
            package.intern([f"{name}.**" for name in _INTERNAL_MODULES])
            package.save_pickle("model", "model.pkl", model)
        before = calls()["cg-llvm"]
        packaged = PackageImporter(tmp_path / "model.nequip.zip").load_pickle("model", "model.pkl")
        torch.testing.assert_close(packaged(data.copy())["total_energy"], energy, rtol=1e-5, atol=1e-5)
    assert calls()["cg-llvm"] == before > 0
    with zipfile.ZipFile(tmp_path / "model.nequip.zip") as files:
        assert not [name for name in files.namelist() if b"tpregistry" in files.read(name)]


def trained(model: torch.nn.Module, data: dict[str, torch.Tensor], request: str) -> list[torch.Tensor]:
    """Energies, forces, stresses and the gradients of all parameters, in each of three steps of training."""
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    found = []
    with tpregistry.use(request):
        for _ in range(3):
            out = model(data.copy())
            loss = out["forces"].square().mean() + out["stress"].square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            kept = (out["total_energy"], out["forces"], out["stress"])
            found += [one.detach().clone() for one in (*kept, *(p.grad for p in model.parameters() if p.grad is not None))]
    return found


def test_parameters_are_trained_as_by_stock_code(frames) -> None:
    """Several graphs in a batch, in float64."""
    model = nequip(model_dtype="float64")
    data = batch(model, frames)
    found = trained(model, data, "cg-llvm")
    assert convolutions() == 9
    for one, other in zip(found, trained(model, data, "off"), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9 * max(1.0, float(other.abs().max())))


@pytest.mark.processes
def test_what_is_saved_runs_without_tpregistry(model, crystal, tmp_path: Path) -> None:
    data = batch(model, [crystal])
    with tpregistry.use("cg-llvm"):
        expected = float(model(data.copy())["total_energy"].detach())
        torch.save(model, tmp_path / "whole.pt")
    assert b"tpregistry" not in (tmp_path / "whole.pt").read_bytes()
    torch.save(data, tmp_path / "given.pt")
    program = (
        WITHOUT
        + f"""
from importlib import metadata
stock = metadata.entry_points
metadata.entry_points = lambda **given: () if given == {{"group": "nequip.extension"}} else stock(**given)
from nequip.utils.global_state import set_global_state
set_global_state()
model = torch.load("whole.pt", weights_only=False)
assert abs(float(model(given)["total_energy"]) - {expected}) < 1e-4
assert not [name for name in sys.modules if name.startswith("tpregistry")]
"""
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.processes
@pytest.mark.parametrize("backend", ["auto", ""])
def test_its_entry_point_takes_the_place_of_a_start_up_file(backend: str) -> None:
    """`-S`: no start-up file runs."""
    program = f"""
import sys
sys.path[:] = {sys.path!r}
import nequip.nn._tp_scatter_base as base
from e3nn import o3
print(o3.TensorProduct.forward.__module__, base.TensorProductScatter.forward.__closure__ is not None, "tpregistry" in sys.modules)
"""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TP_")} | {"TP_BACKEND": backend}
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=False, env=environ)
    patched = "tpregistry_e3nn.forward True True" if backend else "e3nn.o3._tensor_product._tensor_product False False"
    assert done.stdout.strip() == patched, done.stderr
