"""A third party's plugin in a distribution of its own, built and installed for real, in an environment of its own."""

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "third_party"
ROOT = Path(__file__).parents[1]
PUBLIC = {
    "arrays",
    "backend",
    "irreps",
    "machine",
    "many_body",
    "native",
    "plan",
    "portable",
    "problem",
    "products",
    "so3",
    "store",
}
PUBLIC |= {"jax.by_product", "jax.convolution", "jax.graph", "jax.native", "jax.primitive"}
PUBLIC |= {"contraction", "definition.contraction", "lazy", "torch.by_autograd", "torch.extents", "torch.memory"}
PUBLIC |= {"torch.convolution", "torch.differentiable", "torch.graph", "torch.native"}
"""Modules of tpregistry that a plugin is written against."""

PROGRAM = """
import torch
from e3nn import o3
module = o3.FullyConnectedTensorProduct("8x0e+4x1o", "2x0e+1x1o", "8x0e+4x1o")
x, y = module.irreps_in1.randn(50, -1), module.irreps_in2.randn(50, -1)
module(x, y).sum().backward()
"""


def imports(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    found = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return found | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


def test_it_is_short() -> None:
    files = [SOURCE / "pyproject.toml", *(SOURCE / "tp_einsum").glob("*.py")]
    assert sum(len(file.read_text().splitlines()) for file in files) <= 80


@pytest.mark.parametrize("file", [*(SOURCE / "tp_einsum").glob("*.py"), *(ROOT / "plugins").rglob("*.py")], ids=str)
def test_plugins_are_written_against_public_names(file: Path) -> None:
    ours = {name.removeprefix("tpregistry.") for name in imports(file) if name.startswith("tpregistry.")}
    assert {name for name in ours if not any(name == public or name.startswith(f"{public}.") for public in PUBLIC)} == set()


def test_the_guide_shows_all_of_it() -> None:
    guide = (ROOT / "docs" / "pages" / "plugins.md").read_text()
    for file in (SOURCE / "pyproject.toml", *(SOURCE / "tp_einsum").glob("*.py")):
        assert f"::: file {file.relative_to(ROOT)}\n" in guide


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that sees this one's packages and has the plugin's wheel installed."""
    folder = tmp_path_factory.mktemp("third-party")
    shutil.copytree(SOURCE, folder / "source")
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(wheel, cwd=folder / "source", check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "this_environment.pth").write_text("\n".join(path for path in sys.path if path))
    shutil.copy(Path(sysconfig.get_path("purelib")) / "tpregistry_startup.pth", site)
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    subprocess.run([*install, *map(str, folder.glob("tp_einsum*.whl"))], check=True)
    return python


def run(python: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "TP_LOG"} | variables
    return subprocess.run([python, *arguments], env=environ, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.processes
def test_it_is_listed(environment: Path) -> None:
    listed = json.loads(run(environment, "-m", "tpregistry.cli", "list", "--json").stdout)
    (row,) = (row for row in listed["backends"] if row["name"] == "einsum")
    assert (row["distribution"], row["status"]) == ("tp-einsum", "ready")


@pytest.mark.processes
def test_it_is_gated_and_runs_where_it_is_named(environment: Path, tmp_path: Path) -> None:
    done = run(environment, "-c", PROGRAM, TP_BACKEND="einsum", TP_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "-> einsum" in done.stderr
