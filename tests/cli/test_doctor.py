from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import BROKEN, clean_environment
from tpregistry.cli.checks import startup
from tpregistry.cli.checks.keep import store_checks
from tpregistry.cli.checks.setup import read
from tpregistry.settings import Settings, Tune


def lines(ended, state):
    return [check["text"] for check in ended.json["checks"] if check["state"] == state]


def test_a_healthy_installation(started):
    ended = started("doctor", "--json", TP_BACKEND="auto")
    assert lines(ended, "fail") == lines(ended, "warn") == []
    assert (ended.code, ended.json["schema"], ended.json["state"]) == (0, "tpregistry.doctor/1", "ok")
    assert any(text.startswith("active: TP_BACKEND=auto") for text in lines(ended, "ok"))


def test_text_and_the_hook_that_waits(started, tmp_path):
    ended = started("doctor")
    assert (ended.code, ended.err) == (0, "")
    assert "not active: TP_BACKEND is not set" in ended.out
    assert "before Python starts" in ended.out
    assert "stock in any case: TorchScript and compiled models, and those of torch.package" in ended.out
    assert f"{tmp_path / 'store'} (made when first needed)" in ended.out
    assert "\x1b" not in ended.out
    assert not (tmp_path / "store").exists()


def test_the_nearest_backend_is_named(started):
    ended = started("doctor", "--json", TP_BACKEND="cg-hoits")
    assert ended.code == 2
    assert "did you mean cg-hoist" in lines(ended, "fail")[0].lower()


def test_every_bad_setting_is_a_failure_of_its_own(started):
    ended = started("doctor", "--json", TP_TUNE="sometimes", TP_BUDGET="soon")
    assert ended.code == 2
    assert [text.split("=")[0] for text in lines(ended, "fail")] == ["TP_TUNE", "TP_BUDGET"]


def test_a_typo_is_a_warning(started):
    ended = started("doctor", "--json", TP_BAKEND="auto", TP_SIZE="2")
    assert ended.code == 1
    assert lines(ended, "warn") == ["TP_BAKEND is not a setting of tpregistry; did you mean TP_BACKEND?"]
    assert ended.err == ""


def test_several_processes(started):
    assert lines(started("doctor", "--json", WORLD_SIZE="1"), "warn") == []
    ended = started("doctor", "--json", WORLD_SIZE="4")
    assert ended.code == 1
    assert "nothing is measured implicitly" in lines(ended, "warn")[0]
    assert "with the same OMP_NUM_THREADS" in str(ended.json)


def test_a_broken_plugin_is_a_warning(started, plugins):
    path = plugins({"broken_plugin": BROKEN}, other={"broken": "broken_plugin:Broken"})
    ended = started("doctor", "--json", PYTHONPATH=path)
    assert ended.code == 1
    assert [text for text in lines(ended, "warn") if "broken: TP152" in text]


def test_an_untested_host_is_a_warning(started, tmp_path):
    folder = tmp_path / "e3nn-0.5.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: e3nn\nVersion: 0.5.1\n")
    ended = started("doctor", "--json", PYTHONPATH=str(tmp_path))
    assert lines(ended, "warn") == ["e3nn 0.5.1 is not among the tested versions (0.4.4, 0.6)"]


def test_a_file_that_is_no_record(started, tmp_path):
    folder = tmp_path / "store" / "v1" / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "0123.json").write_text("{}")
    ended = started("doctor", "--json")
    assert ended.code == 1
    assert "0123.json is not a record" in lines(ended, "warn")[0]


def test_a_store_that_is_a_file(started, tmp_path):
    (tmp_path / "file").write_text("")
    ended = started("doctor", "--json", TP_CACHE_DIR=str(tmp_path / "file"))
    assert ended.code == 2
    assert "is a file, not a folder" in lines(ended, "fail")[0]


@pytest.mark.parametrize("beside", ["", "code", "code/deeper"])
def test_code_where_others_can_write(tmp_path: Path, beside: str) -> None:
    folder = tmp_path / "store"
    (folder / beside).mkdir(parents=True)
    assert [check.state for check in store_checks(Settings(cache_dir=folder))] == ["ok", "ok"]
    folder.chmod(0o777)
    (fault,) = (check for check in store_checks(Settings(cache_dir=folder)) if check.state == "warn")
    assert f"compiled code in {folder / 'code'} is neither used nor kept" in fault.text
    assert f"{folder} can be written by others" in fault.text
    assert "let TP_CACHE_DIR name a folder of your own" in fault.cure


def test_a_project_file_that_others_can_write(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.tpregistry]\ntune = "off"\n')
    tmp_path.chmod(0o777)
    found = read({}, tmp_path)
    assert found.settings.tune is Tune.MISS
    assert "is ignored" in found.remarks[0]


def test_what_is_shadowed(started, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.tpregistry]\nbackend = "cg"\ntune = "off"\n')
    texts = lines(started("doctor", "--json", TP_TUNE="require"), "ok")
    assert "shadowed: tune=off (pyproject.toml)" in texts
    assert any(text.split() == ["TP_TUNE", "require", "(environment)"] for text in texts)


def test_a_backend_of_the_project_file_starts_no_hook(started, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.tpregistry]\nbackend = "cg"\n')
    ended = started("doctor", "--json")
    assert ended.code == 1
    assert "starts only where the variable is set" in lines(ended, "warn")[0]


def test_without_site_nothing_starts(tmp_path):
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environ = clean_environment(tmp_path, PYTHONPATH=path, TP_BACKEND="auto")
    command = [sys.executable, "-S", "-m", "tpregistry.cli", "doctor"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert "python -S switches `site` off" in done.stdout
    assert "TP_BACKEND is set, but has no effect" in done.stdout


@pytest.mark.parametrize("flag", ["-I", "-E"])
def test_isolated_interpreters_read_the_start_up_file(tmp_path, flag):
    command = [sys.executable, flag, "-m", "tpregistry.cli", "doctor"]
    environ = clean_environment(tmp_path, TP_BACKEND="auto")
    done = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "active: TP_BACKEND=auto takes effect" in done.stdout


@pytest.mark.parametrize(("version", "name"), [((3, 14), "tpregistry_startup.pth"), ((3, 15), "tpregistry_startup.start")])
def test_a_start_up_file_outside_site_folders_is_not_read(tmp_path: Path, version, name):
    (tmp_path / name).write_text("")
    assert startup.file_name(version) == name
    assert startup.file_check(name, [tmp_path], []).state == "ok"
    outside = startup.file_check(name, [], [tmp_path])
    assert (outside.state, "PYTHONPATH" in outside.text) == ("warn", True)
    assert "is in no site-packages folder" in startup.file_check(name, [], []).text


@pytest.mark.parametrize(
    ("project", "backend", "message"),
    [
        ("[tool]\ntpregistry = 5\n", "auto", "tool.tpregistry is 5; make it a table"),
        ("", "cg-llvm,!cg", "TP_BACKEND=cg-llvm,!cg: what is named is excluded too"),
    ],
)
def test_what_stops_a_program_is_a_failure(started, tmp_path, project, backend, message):
    (tmp_path / "pyproject.toml").write_text(project)
    ended = started("doctor", "--json", TP_BACKEND=backend)
    assert ended.code == 2
    assert any(message in text for text in lines(ended, "fail"))
