"""What must be instant imports no framework and no host."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

import tpregistry

PROBE = """
import sys
from tpregistry.cli import main
try:
    sys.argv = ["tpregistry", *{arguments!r}]
    main()
except SystemExit:
    pass
print([name for name in ("torch", "jax", "e3nn", "numpy", "rich") if name in sys.modules], file=sys.stderr)
"""


INSTANT = ["--help", "--version", "list", "list --json", "explain --help", "verify --help", "bench --help", "run --help"]
INSTANT += ["reason", "reason TP120", "cache dir", "cache ls"]


@pytest.mark.processes
@pytest.mark.parametrize("words", INSTANT)
def test_nothing_heavy_is_imported(words, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(arguments=words.split())], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.stdout
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.processes
def test_the_doctor_imports_no_framework(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(arguments=["doctor"])], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert "e3nn" in done.stdout
    assert not {"torch", "jax", "e3nn"} & set(eval(done.stderr.splitlines()[-1]))


def test_version(tp):
    ended = tp("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"tpregistry {tpregistry.__version__}\n", "")


COMMANDS = ["list", "doctor", "explain", "autotune", "run", "bench", "verify", "reason"]
COMMANDS += [f"cache {name}" for name in ("dir", "ls", "show", "rm", "clear")]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_documents_exit_codes(tp, command):
    ended = tp(*command.split(), "--help")
    assert ended.code == 0
    assert "Exit code" in ended.out
    assert "--json" in ended.out
    assert "\x1b" not in ended.out


def test_a_usage_error_is_2_and_short(tp):
    ended = tp("explain", "--no-such-option")
    assert (ended.code, ended.out) == (2, "")
    assert "No such option" in ended.err


@pytest.mark.processes
def test_a_closed_pipe_leaves_no_traceback(tmp_path):
    command = f"{sys.executable} -m tpregistry.cli list --json | true; {sys.executable} -m tpregistry.cli doctor | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")


def seconds(run) -> float:
    """Processor time of the processes that a function runs, so that a busy machine does not matter."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.processes
def test_the_list_is_instant(tp):
    """At most twice what its libraries take: 240 ms where that is 150."""
    libraries = "import typer._adapters, stevedore.driver; from importlib import metadata; metadata.entry_points()"
    theirs = min(seconds(lambda: subprocess.run([sys.executable, "-c", libraries], check=True)) for _ in range(5))
    assert min(seconds(lambda: tp("list")) for _ in range(5)) <= 2 * theirs
