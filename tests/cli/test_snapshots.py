"""What every command prints, whole: exit code, stdout and stderr, kept in ``snapshots/``, a file each.

After a change that is meant, write them anew, and read the difference in git:

    REFRESH_SNAPSHOTS=1 python -m pytest tests/cli/test_snapshots.py

Numbers with a decimal point, dates, runs of spaces, and what belongs to this machine are replaced.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import sysconfig
from pathlib import Path

import pytest

import tpregistry
from tests.cli.conftest import BROKEN, NEEDY, Ended
from tests.cli.test_cache import DIGEST, OTHER, RECORD
from tests.cli.test_verify import MOODY
from tpregistry.cli.app import app
from tpregistry.store import Store

pytest.importorskip("e3nn")
FOLDER = Path(__file__).parent / "snapshots"
PYTHON = sys.executable
CASES = r"main|repeated|one sample|no sample|\d+ samples|strided|sliced|offset|expanded|scale|rotated|inverted|bucket"
ONLY_HOST = {"TP_PLUGINS": "e3nn"}
ONLY_HOSTS = {"TP_PLUGINS": "e3nn,definition"}
TINY = ("2x0e+2x1o", "0e+1o")

COMMANDS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "help": (("--help",), {}),
    "usage-error": (("explain", "--no-such-option"), {}),
    "list": (("list",), {}),
    "list-json": (("list", "--json"), {}),
    "doctor": (("doctor",), {"TP_BACKEND": "auto"}),
    "doctor-faults": (("doctor",), {"TP_BACKEND": "cg-hoits", "TP_TUNE": "sometimes", "TP_BAKEND": "x", "WORLD_SIZE": "2"}),
    "explain": (("explain", *TINY), {"TP_BACKEND": "cg-hoist,!cg-llvm", "TP_PLUGINS": "!cg-dense"}),
    "explain-error": (("explain", "4x0e", "1x1x1"), {}),
    "autotune": (("autotune", *TINY, "--batch", "4", "--derivatives", "0"), ONLY_HOST),
    "autotune-program": (("autotune", "--", "echo", "hello"), {}),
    "autotune-error": (("autotune", "--budget", "soon", "--", "echo"), {}),
    "run": (("run", "--report", "ran.json", "--", "bash", "-c", "echo hello; exit 3"), {}),
    "run-json": (("run", "--json", "--", "echo", "hello"), {}),
    "run-error": (("run", "echo"), {}),
    "bench": (("bench", *TINY, "--batch", "4", "--derivatives", "1", "--rounds", "3"), ONLY_HOST),
    "tradeoff": (("tradeoff", "0e+1o", "1o", "--channels", "2", "--batch", "4", "--rounds", "3"), ONLY_HOSTS),
    "tradeoff-error": (("tradeoff", "0e+0e", "1o"), {}),
    "verify": (("verify", "moody", "--only", "per-sample", "--dtype", "float32"), {}),
    "verify-error": (("verify", "cg"), {}),
    "reason": (("reason",), {}),
    "reason-one": (("reason", "TP190"), {}),
    "reason-error": (("reason", "TP191"), {}),
    "cache-dir": (("cache", "dir"), {}),
    "cache-ls": (("cache", "ls"), {}),
    "cache-ls-json": (("cache", "ls", "--json"), {}),
    "cache-show": (("cache", "show", DIGEST[:8]), {}),
    "cache-show-error": (("cache", "show", "0123"), {}),
    "cache-rm": (("cache", "rm", DIGEST), {}),
    "cache-clear": (("cache", "clear"), {}),
    "cache-clear-yes": (("cache", "clear", "--yes"), {}),
}


@pytest.fixture
def surroundings(tmp_path, plugins):
    """Two records; plugins that lack a library, are broken, or moody.

    They are found because ``-m`` puts the working folder on the path.
    """
    for record in (RECORD, OTHER):
        Store(tmp_path / "store").put(record)
    points = {"needy": "needy_plugin:Needy", "broken": "broken_plugin:Broken", "moody": "moody_plugin:Moody"}
    plugins({"needy_plugin": NEEDY, "broken_plugin": BROKEN, "moody_plugin": MOODY}, other=points)


def written(words: tuple[str, ...], ended: Ended) -> str:
    return f"$ tpregistry {' '.join(words)}\nexit {ended.code}\n[stdout]\n{ended.out}[stderr]\n{ended.err}"


def normal(text: str, folder: Path) -> str:
    from tpregistry.torch.frame import FRAME

    machine = {
        str(folder): "FOLDER",
        PYTHON: "PYTHON",
        sysconfig.get_paths()["purelib"]: "SITE",
        str(Path(tpregistry.__file__).parents[1]): "CHECKOUT",
        f"{platform.system()} {platform.release()} on {platform.machine()}": "PLATFORM",
        FRAME.environment("cpu")["device"]: "DEVICE",
    }
    rules = (
        (rf"\S+ \(({CASES})[^)]*\)(?=  )", "N (CHECK)"),
        (r"(?<![\w.-])\d[\d,]*(\.\d|e[+-]\d)[\w.+-]*", "N"),
        (r"\b\d+ (d|h|min|s|ms)\b", r"N \1"),
        (r"(?<=\S) {2,}", "  "),
    )
    for found, name in machine.items():
        text = text.replace(found, name)
    for pattern, name in rules:
        text = re.sub(pattern, name, text)
    return text


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("name", COMMANDS)
def test_as_it_was(name, tp, started, tmp_path, surroundings):
    words, variables = COMMANDS[name]
    command = started if words[0] == "doctor" else tp  # which looks at how its own process started
    found = normal(written(words, command(*words, COLUMNS="80", **variables)), tmp_path)
    file = FOLDER / f"{name}.txt"
    if os.environ.get("REFRESH_SNAPSHOTS"):
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8"), "if this is meant, see the top of this file"


def test_every_command_has_a_snapshot_and_every_snapshot_a_command():
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    commands = {command.name for command in app.registered_commands}
    commands |= {f"{name} {command.name}" for name, group in groups.items() if group for command in group.registered_commands}
    taken = {" ".join(words[:2]) if words[0] in groups else words[0] for words, _ in COMMANDS.values()}
    assert commands <= taken
    assert {path.stem for path in FOLDER.iterdir()} == set(COMMANDS)
