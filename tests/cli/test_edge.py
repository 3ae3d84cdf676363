"""A stdout that takes not every character, or nothing at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import clean_environment
from tests.cli.test_cache import DIGEST, RECORD
from tpregistry.store import Store

TP = f"{sys.executable} -m tpregistry.cli"


def shell(folder, line: str) -> subprocess.CompletedProcess[str]:
    environ = clean_environment(folder)
    return subprocess.run(["bash", "-c", line], cwd=folder, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.processes
def test_an_encoding_without_a_micro_sign(started, tmp_path):
    Store(tmp_path / "store").put(RECORD)
    ended = started("cache", "show", DIGEST[:8], PYTHONIOENCODING="ascii")
    assert (ended.code, ended.err) == (0, "")
    assert "?s" in ended.out


@pytest.mark.processes
@pytest.mark.parametrize("command", ["list --json", "cache dir", "doctor", "reason"])
@pytest.mark.parametrize(("stdout", "why"), [(">/dev/full", "No space left on device"), (">&-", "it is closed")])
def test_a_stdout_that_takes_nothing(tmp_path, command, stdout, why):
    done = shell(tmp_path, f"{TP} {command} {stdout}")
    assert (done.returncode, done.stderr) == (74, f"error: stdout cannot be written ({why}); send it elsewhere\n")


@pytest.mark.processes
def test_a_program_needs_no_stdout_of_ours(tmp_path):
    done = shell(tmp_path, f"{TP} run -- {sys.executable} -c 'raise SystemExit(3)' >&-")
    assert done.returncode == 3


@pytest.mark.processes
def test_help_on_a_full_disk(tmp_path):
    done = shell(tmp_path, f"{TP} --help >/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (74, 1)
