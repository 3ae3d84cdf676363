"""Programs that know nothing of us, each in a process of its own: what they print, and what their reports say ran."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import clean_environment

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Ended:
    """A program that ended well: its last line of JSON, its stderr, and the reports of its processes."""

    numbers: list[Any]
    err: str
    reports: list[dict[str, Any]]

    @property
    def calls(self) -> Counter[str]:
        """Calls by backend, of all processes."""
        counts = Counter[str]()
        for decision in self.decisions:
            counts[decision["backend"]] += decision["calls"]
        return counts

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """Of all processes."""
        return [decision for report in self.reports for decision in report["decisions"]]


def launch(
    folder: Path, command: tuple[object, ...], python: str | Path = sys.executable, **variables: str
) -> subprocess.Popen[str]:
    """Start a program in ``folder`` with nothing of ours in its environment but ``variables``."""
    environ = clean_environment(folder, TP_REPORT=str(folder / "ran-{pid}.json"), OMP_NUM_THREADS="1", **variables)
    arguments = [str(python), *map(str, command)]
    return subprocess.Popen(arguments, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(folder: Path, *processes: subprocess.Popen[str]) -> Ended:
    """All processes of one program; the first prints the numbers. Its reports are taken away from the folder."""
    texts = [process.communicate(timeout=120) for process in processes]
    for process, (_, err) in zip(processes, texts, strict=True):
        assert process.returncode == 0, err
    reports = sorted(folder.glob("ran-*.json"))
    contents = [json.loads(path.read_text()) for path in reports]
    for path in reports:
        path.unlink()
    return Ended(json.loads(texts[0][0].splitlines()[-1]), "".join(err for _, err in texts), contents)


def run_in(folder: Path, *command: object, python: str | Path = sys.executable, **variables: str) -> Ended:
    return ended(folder, launch(folder, command, python, **variables))


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda *command, **variables: run_in(tmp_path, *command, **variables)


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What a program prints without us; each is run once."""
    known: dict[tuple[object, ...], list[Any]] = {}

    def numbers(*command: object) -> list[Any]:
        if command not in known:
            done = run_in(tmp_path_factory.mktemp("stock"), *command)
            assert done.reports == [], "nothing of ours is imported"
            known[command] = done.numbers
        return known[command]

    return numbers
