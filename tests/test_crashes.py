"""A backend that ends the process while it is checked is left out from the next start on; one that was killed is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.plugins import distribution
from tpregistry import crashes
from tpregistry.crashes import CRASHES, Crashes, crash_files

PROGRAM = """
import torch
from e3nn import o3
import tpregistry
module = o3.TensorProduct("4x0e", "0e", "4x0e", [(0, 0, 0, "uvu", True)], shared_weights=False, internal_weights=False)
module(torch.ones(3, 4), torch.ones(3, 1), torch.ones(3, 4))
print(*tpregistry.decisions(), sep="\\n")
"""
FATAL = "import ctypes; ctypes.string_at(0)"
KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


class Programs:
    """Starts one after the other, with a backend that does something in `build`."""

    def __init__(self, folder: Path, build: str) -> None:
        (folder / "plugin").mkdir()
        distribution(folder / "plugin", None, build=build)
        self.cache = folder / "cache"
        ours = {"TP_CACHE_DIR": str(self.cache), "TP_PLUGINS": "stranger", "TP_LOG": "off"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TP_") and name != "PYTHONFAULTHANDLER"}
        path = os.pathsep.join(filter(None, [str(folder / "plugin"), os.environ.get("PYTHONPATH")]))
        self.environ = kept | ours | {"PYTHONPATH": path}

    def run(self, backend: str, *command: str, **variables: str) -> subprocess.CompletedProcess:
        asked = [sys.executable, *(command or ("-c", PROGRAM))]
        environ = self.environ | {"TP_BACKEND": backend} | variables
        return subprocess.run(asked, env=environ, capture_output=True, text=True, check=False)


def test_a_backend_that_crashed_is_left_out_until_it_is_let_in_again(tmp_path: Path) -> None:
    programs = Programs(tmp_path, FATAL)
    assert programs.run("auto").returncode == -signal.SIGSEGV
    second = programs.run("auto")
    assert second.returncode == 0, second.stderr
    (file,) = crash_files(programs.cache)
    assert f"-> e3nn [heuristic] (stranger: TP182 stranger ended a process while it was checked ({file} says where" in second.stdout
    assert "in build" in file.read_text()
    forced = programs.run("stranger")
    assert "tpregistry.errors.Unsupported: TP_BACKEND=stranger cannot do" in forced.stderr
    assert "TP182" in forced.stderr
    assert programs.run("auto", "-m", "tpregistry.cli", "cache", "clear", "--yes").returncode == 0
    assert not (programs.cache / CRASHES).exists()
    assert programs.run("auto").returncode == -signal.SIGSEGV


@pytest.mark.parametrize(("build", "variables"), [(KILLED, {}), (FATAL, {"PYTHONFAULTHANDLER": "1"})])
def test_what_says_nothing_of_the_backend_leaves_it_in(tmp_path: Path, build: str, variables: dict[str, str]) -> None:
    """A kill; and a crash that the program has told of itself."""
    programs = Programs(tmp_path, build)
    assert programs.run("auto", **variables).returncode in (-signal.SIGKILL, -signal.SIGSEGV)
    assert crash_files(programs.cache) == []


def test_one_that_is_checked_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    programs = Programs(tmp_path, "return Broken()")
    assert programs.run("auto").returncode == 0
    assert not (programs.cache / CRASHES).exists()


def test_the_next_check_removes_what_killed_ones_have_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all backends, once they are old; what tells of a crash counts on, and what goes on is let be."""
    folders = [tmp_path / CRASHES / name for name in ("0123456789abcdef", "fedcba9876543210")]
    words, fatal = "x was checked on y", crashes.FATAL.decode()
    texts = {"killed.txt": (words, 2), "young.txt": (words, 0.5), "told.txt": (fatal, 99)}
    for folder in folders:
        folder.mkdir(parents=True)
        for name, (text, hours) in texts.items():
            (folder / name).write_text(text)
            os.utime(folder / name, (time.time() - 3600 * hours,) * 2)
    for name, value in (("is_enabled", False), ("enable", None), ("disable", None)):  # pytest's own is enabled
        monkeypatch.setattr(crashes.faulthandler, name, lambda *_, value=value: value)
    with Crashes(tmp_path, {}).watch("backend", {}, "a problem"):
        pass
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [["told.txt", "young.txt"]] * 2


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_tells_of_no_crash(tmp_path: Path, make) -> None:
    crashes = Crashes(tmp_path, {})
    folder = crashes._folder("backend", {})
    folder.mkdir(parents=True)
    make(folder / "planted.txt")
    assert crashes.of("backend", {}) is None
