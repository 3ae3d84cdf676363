"""The command line as a user meets it: a process of its own, with nothing of ours in its environment but what a test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


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


def run_in(folder: Path, *arguments: str, **variables: str) -> Ended:
    command = [sys.executable, "-m", "tpregistry.cli", *arguments]
    environ = clean_environment(folder, **variables)
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


Run = Callable[..., Ended]


@pytest.fixture
def tp(tmp_path: Path) -> Run:
    return lambda *arguments, **variables: run_in(tmp_path, *arguments, **variables)


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
