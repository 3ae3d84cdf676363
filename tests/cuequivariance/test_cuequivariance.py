"""cuequivariance as a plugin: its face, its engine, its silence, and that a broken installation ends no program."""

import json
import os
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

import pytest
import torch

import tpregistry
from tests.test_session import call, product
from tpregistry import discovery, session
from tpregistry.backend import Face
from tpregistry.store import Outcome, open_code
from tpregistry.testing import real_problems, zoo
from tpregistry_cuequivariance import TESTED, Cuequivariance
from tpregistry_e3nn.adapter import Adapter

installed = pytest.mark.skipif(
    any(discovery.installed_version(name) is None for name in Cuequivariance.face.requires),
    reason="cuequivariance is not installed: pip install 'tpregistry[cuequivariance]'",
)


def run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ | environ)


LIGHT = """
import sys
from tpregistry_cuequivariance import Cuequivariance
from tpregistry.testing import real_problems
Cuequivariance().supports(real_problems()["mace layer 1"], "cuda")
print([name for name in ("torch", "cuequivariance", "cuequivariance_torch") if name in sys.modules])
"""


@pytest.mark.processes
def test_the_face_imports_neither_torch_nor_the_library() -> None:
    assert run(LIGHT).stdout.strip() == "[]"


def test_half_precision_is_refused() -> None:
    problem = real_problems()["mace layer 1"]
    assert [reason.code for reason in Cuequivariance().supports(problem.at(dtype="bfloat16"), "cuda").reasons] == ["TP121"]
    assert Cuequivariance().supports(problem, "cpu").ok


def test_where_a_library_is_missing_our_extra_is_the_cure() -> None:
    assert discovery.extras_by_requirement("tpregistry")["cuequivariance-torch"] == "cuequivariance"
    face = Face("x", "", "x", ("torch",), requires=("no-such-library",))
    (reason,) = discovery.missing(face, "tpregistry")
    assert (reason.code, reason.hint) == ("TP160", "pip install no-such-library")


def test_a_distribution_that_came_from_a_folder_is_named_by_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No index has us yet: `pip install "tpregistry[...]"` would find nothing, or something else."""
    said = {"url": f"{tmp_path.as_uri()}/a%20checkout", "dir_info": {"editable": True}}
    monkeypatch.setattr(metadata.PathDistribution, "read_text", lambda self, name: json.dumps(said))
    assert discovery.source_of("tpregistry") == "tpregistry", "the folder is gone"
    (tmp_path / "a checkout").mkdir()
    (tmp_path / "a checkout" / "pyproject.toml").touch()
    assert discovery.source_of("tpregistry") == str(tmp_path / "a checkout")
    monkeypatch.setattr(metadata.PathDistribution, "read_text", lambda self, name: None)
    assert discovery.source_of("tpregistry") == "tpregistry", "it came from an index"


def test_a_library_that_is_not_there_is_listed_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    known = discovery.installed_version
    monkeypatch.setattr(discovery, "installed_version", lambda name: None if name.startswith("cueq") else known(name))
    discovery.forget()
    plugin = discovery.backends(tpregistry.settings.current())["cuequivariance"]
    assert {reason.code for reason in plugin.trouble} == {"TP160"}
    cures = {reason.hint for reason in plugin.trouble}
    checkout = Path(tpregistry.__file__).parents[1]
    assert cures <= {f'pip install "{checkout}[{extra}]"' for extra in ("cuequivariance", "cuequivariance-jax")}
    assert cures


def test_records_depend_on_the_library_for_gpus_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "installed_version", lambda name: None if name.endswith("cu12") else "0.13.0")
    versions = discovery.backends(tpregistry.settings.current())["cuequivariance"].versions
    assert versions["cuequivariance-ops-torch-cu13"] == "0.13.0"
    assert "cuequivariance-ops-torch-cu12" not in versions


BROKEN = """
import torch
from e3nn import o3
import tpregistry
module = o3.FullyConnectedTensorProduct("4x0e+4x1o", "0e+1o", "4x0e+4x1o")
x, y = torch.ones(8, 16), torch.ones(8, 4)
with tpregistry.use("off"):
    expected = module(x, y)
assert torch.equal(module(x, y), expected)
decision = tpregistry.decisions()[-1]
print(decision.backend, decision.why)
"""


@pytest.mark.processes
def test_a_library_that_cannot_be_imported_says_so_and_ends_no_program(tmp_path: Path) -> None:
    for name in ("cuequivariance", "cuequivariance_torch"):
        (tmp_path / f"{name}.py").write_text("raise OSError('libcue_ops.so: undefined symbol')")
        info = tmp_path / f"{name}-0.13.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 0.13.0\n")
    ended = run(BROKEN, PYTHONPATH=str(tmp_path), TP_BACKEND="cuequivariance,e3nn")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("e3nn cuequivariance: TP180")
    assert "TP122 importing cuequivariance raised OSError: libcue_ops.so: undefined symbol" in ended.stdout


@installed
def test_the_installed_version_is_a_tested_one() -> None:
    for name in ("cuequivariance", "cuequivariance-torch"):
        assert metadata.version(name).startswith(TESTED)


@installed
def test_a_method_that_is_not_there_is_named_by_the_engine_and_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    from tpregistry_cuequivariance import kernel

    monkeypatch.setattr(kernel, "methods", lambda device: ("uniform_1d", "fused_tp"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Cuequivariance().build(zoo()["outputs shared by paths"], "cpu").engine == "naive"


@installed
def test_what_it_compiles_is_kept_beside_what_we_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from tpregistry_cuequivariance.library import CACHE, load

    monkeypatch.delenv(CACHE, raising=False)
    load("cpu")
    assert os.environ[CACHE] == str(open_code("cuequivariance").folder)
    monkeypatch.setenv(CACHE, "/elsewhere")
    load("cpu")
    assert os.environ[CACHE] == "/elsewhere"


@installed
@pytest.mark.usefixtures("patched")
def test_forced_in_an_unmodified_program() -> None:
    module = product()
    with tpregistry.use("off"):
        expected = call(module)
    with tpregistry.use("cuequivariance"):
        torch.testing.assert_close(call(module), expected)
    decision = tpregistry.decisions()[-1]
    assert (decision.backend, decision.engine, decision.record.entry("cuequivariance").outcome) == (
        "cuequivariance",
        "naive",
        Outcome.OK,
    )


@pytest.mark.slow
@installed
def test_on_a_cpu_auto_leaves_it() -> None:
    problem = real_problems()["sevennet-0 inner"].at(batch=1024, derivatives=1)
    with tpregistry.use("auto", plugins="cuequivariance,cg-llvm,e3nn", budget=60) as settings:
        decision = session.resolve(problem, Adapter().host(problem, "cpu"), "torch", "cpu", settings)
    assert decision.backend == "cg-llvm"
    assert decision.record.entry("cuequivariance").outcome is Outcome.OK
    assert decision.record.ratio("cuequivariance") < 0.5 * decision.record.ratio("cg-llvm")
