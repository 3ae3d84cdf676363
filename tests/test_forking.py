"""Forks while another thread tunes: the child does not hang, and finds the program as it was."""

import os
import subprocess
import sys
import threading
import time
import warnings

import pytest

from tests.cli.conftest import clean_environment
from tpregistry import forking
from tpregistry.irreps import Irreps
from tpregistry.isolation import isolated
from tpregistry.lazy import lazy
from tpregistry.listening import listening

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def forked(work) -> int:
    """The exit code of a child that works; 9 where it hangs."""
    child = os.fork()
    if child == 0:
        try:
            code = work()
        except BaseException:
            code = 8
        os._exit(code)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return 9


class Beside:
    """Work in a thread of its own, held until the block ends."""

    def __init__(self, work) -> None:
        self.inside, self.go_on = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=work, args=(self,))

    def __enter__(self) -> "Beside":
        self._thread.start()
        assert self.inside.wait(20)
        return self

    def __exit__(self, *error: object) -> None:
        self.go_on.set()
        self._thread.join()

    def hold(self) -> None:
        self.inside.set()
        self.go_on.wait()


def test_warnings_and_stdout_of_a_child_are_those_of_the_program() -> None:
    before, stdout = list(map(str, warnings.filters)), sys.stdout

    def tunes(self: Beside) -> None:
        def quietly() -> None:
            with listening(), forking.rest():
                self.hold()

        isolated(quietly, lambda: warnings.catch_warnings())

    with Beside(tunes):
        assert sys.stdout is not stdout
        assert forked(lambda: 0 if (list(map(str, warnings.filters)), sys.stdout) == (before, stdout) else 1) == 0
    assert (list(map(str, warnings.filters)), sys.stdout) == (before, stdout)


class Slow:
    """One instance that takes long over a value, and others that are asked for theirs."""

    def __init__(self, wait=lambda: None) -> None:
        self._wait = wait

    @lazy
    def value(self) -> int:
        self._wait()
        return 3


def test_a_lazy_value_keeps_no_other_instance_waiting() -> None:
    with Beside(lambda self: Slow(self.hold).value):
        assert forked(lambda: 0 if Slow().value == 3 else 1) == 0
    assert isinstance(vars(Irreps)["dim"], (lazy, property))


def test_a_fork_waits_for_the_end_of_a_step() -> None:
    """So a lock of any library, held within steps alone, is free in the child."""
    library = threading.Lock()

    def tunes(self: Beside) -> None:
        with forking.steps():
            for _ in range(20):
                with library:
                    self.inside.set()
                    time.sleep(0.02)
                forking.pause()

    def use() -> int:
        return 0 if library.acquire(timeout=3) else 1

    with Beside(tunes):
        assert [forked(use) for _ in range(3)] == [0, 0, 0]


def test_a_step_that_does_not_end_holds_a_fork_up_for_a_while_only(monkeypatch) -> None:
    monkeypatch.setattr(forking, "PATIENCE", 0.2)

    def tunes(self: Beside) -> None:
        with forking.steps():
            self.hold()

    with Beside(tunes):
        start = time.monotonic()
        assert forked(lambda: 0) == 0
        assert 0.2 <= time.monotonic() - start < 5


def test_a_thread_that_works_in_steps_may_fork() -> None:
    start = time.monotonic()
    with forking.steps():
        assert forked(lambda: 0) == 0
    assert time.monotonic() - start < forking.PATIENCE


PROGRAM = """
import os, sys, threading, time, warnings
import torch
from e3nn import o3
warnings.simplefilter("error", UserWarning)
torch.set_num_threads(1)
def product(k):
    paths = [(0, 0, 0, "uvu", True), (1, 1, 1, "uvu", True), (0, 1, 2, "uvu", True)]
    return o3.TensorProduct(f"{k}x0e+{k}x1o", "0e+1o", f"{k}x0e+{k}x0e+{k}x1o", paths, shared_weights=False, internal_weights=False)
def call(module, k):
    return module(torch.ones(8, 4 * k), torch.ones(8, 4), torch.ones(8, 3 * k))
before, stdout = list(map(str, warnings.filters)), sys.stdout
modules = [product(k) for k in (4, 5)]
thread = threading.Thread(target=call, args=(modules[0], 4))
thread.start()
codes = []
while thread.is_alive() and len(codes) < 6:
    time.sleep(0.05)
    child = os.fork()
    if child == 0:
        right = (list(map(str, warnings.filters)), sys.stdout) == (before, stdout)
        os.environ["TP_BUDGET"] = "1"
        call(modules[1], 5)
        os._exit(0 if right else 3)
    until = time.monotonic() + 40
    while time.monotonic() < until and not (done := os.waitpid(child, os.WNOHANG))[0]:
        time.sleep(0.01)
    if not done[0]:
        os.kill(child, 9)
    codes.append(done[1] if done[0] else "hangs")
thread.join()
print(codes)
"""


@pytest.mark.processes
@pytest.mark.slow
def test_children_of_a_program_that_tunes_in_another_thread(tmp_path) -> None:
    """Each meets a problem of its own, and neither hangs nor finds what the tuner has set."""
    environ = clean_environment(tmp_path, TP_BACKEND="auto", TP_LOG="off", TP_BUDGET="3")
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, check=True, timeout=300, capture_output=True, text=True)
    codes = eval(done.stdout)
    assert codes
    assert set(codes) == {0}
