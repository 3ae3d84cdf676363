"""Where nothing can be written to stderr, the same runs: a line that is lost decides nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import clean_environment
from tests.cli.test_autotune import PROGRAM
from tpregistry.progress import Progress, tell
from tpregistry.settings import Settings

pytestmark = pytest.mark.processes

pytest.importorskip("e3nn")


class Closed:
    """A pipe whose reader left, or a stream that was closed."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def isatty(self) -> bool:
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("stderr", [None, Closed(BrokenPipeError(32, "gone")), Closed(ValueError("closed"))])
def test_a_line_that_cannot_be_written_is_dropped(stderr, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    tell("nobody reads this")
    with Progress("tuning", Settings()) as progress:
        progress.show("at work")
    monkeypatch.undo()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_a_program_without_stderr(redirection: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environ = clean_environment(tmp_path, TP_BACKEND="cg-hoist", TP_REPORT=str(tmp_path / "ran.json"))
    command = f"exec {sys.executable} program.py x 0 {redirection}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "done x 0\n")
    assert [one["backend"] for one in json.loads((tmp_path / "ran.json").read_text())["decisions"]] == ["cg-hoist"]
