from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import clean_environment
from tests.cli.test_autotune import PROGRAM

pytest.importorskip("e3nn")
SLEEPER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"saved\\n"))  # print may be interrupted in print
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.processes
def test_a_program_runs_on_the_backend_that_is_asked_for(tp, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    ended = tp("run", "--backend", "cg-hoist", "--report", "ran.json", "--", sys.executable, "program.py", "--json", "5")
    assert (ended.code, ended.out) == (5, "done --json 5\n")
    assert ended.err.splitlines()[-1] == "tpregistry: 1 problem: cg-hoist 1 call"
    report = json.loads((tmp_path / "ran.json").read_text())
    assert (report["schema"], report["exit_code"]) == ("tpregistry.run/1", 5)
    assert [(one["backend"], one["calls"]) for one in report["decisions"]] == [("cg-hoist", 1)]


@pytest.mark.processes
def test_json_alone_on_stdout(tp, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    ended = tp("run", "--json", "--", sys.executable, "program.py", "x", "0", TP_BACKEND="e3nn")
    assert ended.code == 0
    assert [one["backend"] for one in ended.json["decisions"]] == ["e3nn"]
    assert "done x 0" in ended.err


def test_auto_unless_the_variable_says_otherwise(tp):
    show = (sys.executable, "-c", "import os; print(os.environ['TP_BACKEND'])")
    ended = tp("run", "--", *show)
    assert (ended.code, ended.out) == (0, "auto\n")
    assert "met no tensor product of a known host" in ended.err
    assert tp("run", "--", *show, TP_BACKEND="cg").out == "cg\n"
    assert tp("run", "--backend", "cg-dense,e3nn", "--", *show, TP_BACKEND="cg").out == "cg-dense,e3nn\n"


def test_a_signal_that_ends_the_program_is_its_exit_code(tp):
    assert tp("run", "--", "bash", "-c", "kill -KILL $$").code == 128 + signal.SIGKILL


@pytest.mark.processes
def test_signals_reach_the_program(tmp_path):
    command = [sys.executable, "-m", "tpregistry.cli", "run", "--", sys.executable, "-c", SLEEPER]
    environ = clean_environment(tmp_path)
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGUSR1)
        assert process.stdout.readline() == "saved\n"
        os.kill(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 9, "the program's own handler has the last word"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a program with its arguments after --"),
        (("--",), "name a program with its arguments after --"),
        (("--", "no-such-program"), "no-such-program cannot be run"),
        (("--backend", "cg-hoits", "--", "true"), "TP_BACKEND=cg-hoits: there is no backend 'cg-hoits'. Did you mean cg-hoist?"),
        (("--backend", "auto,off", "--", "true"), "TP_BACKEND='auto,off': use auto, off, a backend"),
        (("--report", "nowhere/ran.json", "--", "true"), "--report nowhere/ran.json: there is no folder"),
    ],
)
def test_what_cannot_be_done_is_one_line(tp, arguments, message):
    ended = tp("run", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert message in ended.err
    assert ended.err.count("\n") == 1
