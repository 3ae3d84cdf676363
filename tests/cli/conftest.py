"""The command line as a user meets it, with nothing of ours in its environment but what a test says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import forget
from tpregistry.cli import main, output


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object and nothing else."""
        return json.loads(self.out)


def clean_environment(folder: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TP_") and name != "WORLD_SIZE"}
    return kept | {"TP_CACHE_DIR": str(folder / "store"), **variables}


def in_process(folder: Path, *arguments: str, **variables: str) -> Ended:
    """A command in this process, as in one of its own: its environment, its folder first on the path, nothing known from before."""
    forget()
    environ = clean_environment(folder, **variables)
    added = [str(folder), *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    with surrounded(folder, environ, added), redirected(folder) as files:
        try:
            sys.argv = ["tpregistry", *arguments]
            main()
        except SystemExit as end:
            code = end.code
    forget()
    out, err = (file.read_text() for file in files)
    return Ended(int(code or 0), out, err)


@contextmanager
def surrounded(folder: Path, environ: dict[str, str], path: list[str]) -> Iterator[None]:
    """Environment, folder, path, arguments, modules and warnings of the test process are put back."""
    before = dict(os.environ), os.getcwd(), list(sys.path), sys.argv, set(sys.modules)
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("ignore", DeprecationWarning)
        output._printed.clear()
        _become(environ, str(folder), [*path, *sys.path], before[3])
        try:
            yield
        finally:
            _become(*before[:4])
            for name in [name for name, module in sys.modules.items() if name not in before[4] and _in(folder, module)]:
                del sys.modules[name]


def _become(environ: dict[str, str], folder: str, path: list[str], arguments: list[str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.path[:], sys.argv = path, arguments


def _in(folder: Path, module: Any) -> bool:
    return str(getattr(module, "__file__", None)).startswith(str(folder))


@contextmanager
def redirected(folder: Path) -> Iterator[tuple[Path, Path]]:
    """What this process and its children write to stdout and stderr, in two files; as where nobody watches."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept, ours = [os.dup(1), os.dup(2)], (sys.stdout, sys.stderr)
    files = folder / ".stdout", folder / ".stderr"
    for number, file in enumerate(files, 1):
        written = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(written, number)
        os.close(written)
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8") for number in (1, 2))
    try:
        yield files
    finally:
        sys.stdout.close()
        sys.stderr.close()
        sys.stdout, sys.stderr = ours
        for number, descriptor in enumerate(kept, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)


def in_a_process_of_its_own(folder: Path, *arguments: str, **variables: str) -> Ended:
    """A command as a user starts it."""
    command = [sys.executable, "-m", "tpregistry.cli", *arguments]
    environ = clean_environment(folder, **variables)
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


Run = Callable[..., Ended]


@pytest.fixture
def tp(tmp_path: Path) -> Run:
    """A command in this process; `test_light` starts each as a user does."""
    return lambda *arguments, **variables: in_process(tmp_path, *arguments, **variables)


@pytest.fixture
def started(tmp_path: Path) -> Run:
    """A command in a process of its own."""
    return lambda *arguments, **variables: in_a_process_of_its_own(tmp_path, *arguments, **variables)


@pytest.fixture
def plugins(tmp_path: Path) -> Callable[..., str]:
    """Installs distributions that offer backends: `plugins(dist={"name": "module:Class"})`; returns a PYTHONPATH."""

    def install(sources: dict[str, str], **distributions: dict[str, str]) -> str:
        for module, text in sources.items():
            (tmp_path / f"{module}.py").write_text(text)
        for name, points in distributions.items():
            folder = tmp_path / f"{name}-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            lines = "".join(f"{key} = {value}\n" for key, value in points.items())
            (folder / "entry_points.txt").write_text(f"[tpregistry.backends]\n{lines}")
        return str(tmp_path)

    return install


NEEDY = """
from tpregistry.backend import Face, Verdict
class Needy:
    face = Face("needy", "needs what is not there", "needy", ("torch",), requires=("no-such-distribution",), licence="MIT")
    def supports(self, problem, device, framework): return Verdict()
    def build(self, problem, device, framework): raise NotImplementedError
"""
BROKEN = "raise OSError('libkernel.so is missing')\n"
