"""Every way to start a program: TP_BACKEND takes effect, the losses are stock's, and the report says what ran."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import venv
import zipapp
from pathlib import Path

import pytest

from tests.life.conftest import PROGRAMS, Run

pytestmark = pytest.mark.processes

WAYS = {
    "file": ["train.py"],
    "isolated": ["-I", "app"],
    "without the environment of Python": ["-E", "train.py"],
    "package": ["-m", "app"],
    "zipapp": ["app.pyz"],
    "command": ["-c", "import json; from potential import *; print(json.dumps(losses(potential())))"],
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The training program in all its forms."""
    for name in ("potential.py", "train.py"):
        shutil.copy(PROGRAMS / name, tmp_path)
    (tmp_path / "app").mkdir()
    shutil.copy(PROGRAMS / "potential.py", tmp_path / "app")
    shutil.copy(PROGRAMS / "train.py", tmp_path / "app" / "__main__.py")
    zipapp.create_archive(tmp_path / "app")
    return tmp_path


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("way", WAYS)
def test_the_variable_takes_effect(way: str, run: Run, stock: Run) -> None:
    done = run(*WAYS[way], TP_BACKEND="cg-llvm")
    assert done.numbers == pytest.approx(stock(PROGRAMS / "train.py"), rel=1e-5)
    assert set(done.calls) == {"cg-llvm"}
    assert done.calls["cg-llvm"] == 6, "two convolutions, three steps"
    assert done.err.count("-> cg-llvm") == len(done.decisions), "a line on stderr for each decision"


def test_a_virtual_environment_that_sees_what_is_installed_for_its_user(program: Path, run: Run, stock: Run) -> None:
    venv.create(program / "venv", system_site_packages=True)
    folder = Path(sysconfig.get_path("purelib", f"{os.name}_user", {"userbase": str(program / "user")}))
    folder.parent.mkdir(parents=True)
    folder.symlink_to(sysconfig.get_path("purelib"))
    python = program / "venv" / "bin" / "python"
    done = run("train.py", python=python, TP_BACKEND="cg-llvm", PYTHONUSERBASE=str(program / "user"))
    assert done.numbers == pytest.approx(stock(PROGRAMS / "train.py"), rel=1e-5)
    assert set(done.calls) == {"cg-llvm"}


@pytest.mark.usefixtures("program")
def test_without_site_a_program_stays_stock(run: Run, stock: Run) -> None:
    """`tpregistry doctor` says so: tests/cli/test_doctor.py."""
    path = f"import sys; sys.path += {[entry for entry in sys.path if entry]!r}; "
    done = run("-S", "-c", path + WAYS["command"][1], TP_BACKEND="cg-llvm")
    assert done.numbers == stock(PROGRAMS / "train.py")
    assert done.reports == []


def test_the_programs_name_nothing_of_ours() -> None:
    for path in PROGRAMS.glob("*.py"):
        assert "tpregistry" not in path.read_text().lower()
        assert "TP_" not in path.read_text()
