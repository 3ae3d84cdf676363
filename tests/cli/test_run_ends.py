"""`run -- CMD...` at its ends: interrupts, hang-ups, and reports that a killed process left half-written."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import clean_environment
from tests.signals import heeding_interrupts

RUN = [sys.executable, "-m", "tpregistry.cli", "run", "--"]
SAVES = """
import signal, sys, time
def save(*_):
    time.sleep({pause})
    print("saved", flush=True)
    sys.exit(7)
signal.signal(signal.{name}, save)
print("ready", flush=True)
time.sleep(60)
"""
LIVES_ON = """
import time
says = "ready"
while True:
    try:
        print(says, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        says = "interrupted"
"""


def started(folder, code: str, prepare=heeding_interrupts, **options) -> subprocess.Popen[str]:
    command = [*RUN, sys.executable, "-c", code]
    environ = clean_environment(folder)
    return subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare, **options
    )


@pytest.mark.processes
def test_an_interrupt_of_the_parent_alone_reaches_the_program(tmp_path):
    with started(tmp_path, SAVES.format(name="SIGINT", pause=0), start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "saved\n"), "its own exit code"
    assert "Traceback" not in err


def ignoring_hangups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.processes
def test_nohup_holds(tmp_path):
    code = "import sys, time; print('ready', flush=True); time.sleep(1); print('finished'); sys.exit(5)"
    with started(tmp_path, code, ignoring_hangups, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGHUP)
        os.kill(process.pid, signal.SIGHUP)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (5, "finished\n")


class Terminal:
    """A command in the foreground of a terminal of its own."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self.seen = ""
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            heeding_interrupts()
            os.execve(command[0], command, environ)

    def press(self, key: bytes, answer: str) -> None:
        os.write(self.file, key)
        self.wait_for(answer)

    def wait_for(self, answer: str) -> None:
        while answer not in self.seen:
            self.seen += os.read(self.file, 4096).decode()
        self.seen = self.seen.partition(answer)[2]

    def ends(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.processes
def test_a_program_that_lives_on_after_ctrl_c_is_waited_for(tmp_path):
    main = "import tpregistry.cli.program as p; p.PATIENCE = 0.1; import tpregistry.cli; tpregistry.cli.main()"  # it was 10 s
    command = [sys.executable, "-c", main, "run", "--", sys.executable, "-c", LIVES_ON]
    terminal = Terminal(command, clean_environment(tmp_path))
    terminal.wait_for("ready")
    terminal.press(b"\x03", "interrupted")
    time.sleep(1)
    assert os.waitpid(terminal.pid, os.WNOHANG) == (0, 0), "as a debugger does"
    terminal.press(b"\x03", "interrupted")
    assert terminal.ends() == 128 + signal.SIGTERM, "the second ends it"


@pytest.mark.parametrize("text", ["", '{"decisions": [', '{"decisions": 5}', "[" * 100_000])
def test_a_report_that_cannot_be_read_costs_one_note(tp, text):
    code = "import os, sys; open(os.environ['TP_REPORT'].replace('{pid}', '1'), 'w').write(sys.argv[1]); sys.exit(6)"
    ended = tp("run", "--", sys.executable, "-c", code, text)
    assert ended.code == 6
    assert ended.err.splitlines()[0] == "warning: 1 report of the program's processes cannot be read; what they ran is not counted"
