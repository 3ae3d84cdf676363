"""Settings: layers, provenance, strict values, whose project file counts, and typos that are likely ours."""

import os
import warnings
from pathlib import Path

import pytest

import tpregistry
from tests.others import STRANGER, act, place, shared
from tpregistry.errors import SettingError
from tpregistry.settings import Fallback, Request, Tune, current, edits, project_table, resolve, warn_about_typos

__all__ = ["place"]


def test_precedence_and_provenance() -> None:
    settings = resolve({"backend": "cg"}, {"TP_BACKEND": "auto", "TP_TUNE": "off"}, {"tune": "force", "budget": 9})
    assert (settings.backend.text, settings.tune, settings.budget) == ("cg", Tune.OFF, 9.0)
    assert settings.sources == {"backend": "argument", "tune": "environment", "budget": "pyproject.toml"}
    assert settings.shadowed == ("backend=auto (environment)", "tune=force (pyproject.toml)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", Request("auto")),
        ("off", Request("off", auto=False, off=True)),
        (" AUTO", Request(" AUTO")),
        ("OFF", Request("OFF", auto=False, off=True)),
        ("cg-hoist", Request("cg-hoist", auto=False, names=("cg-hoist",))),
        ("a, b,e3nn", Request("a, b,e3nn", auto=False, names=("a", "b", "e3nn"))),
        ("!cg-dense", Request("!cg-dense", excluded=frozenset({"cg-dense"}))),
        ("auto,!x", Request("auto,!x", excluded=frozenset({"x"}))),
    ],
)
def test_requests(text: str, expected: Request) -> None:
    assert Request.parse(text) == expected


@pytest.mark.parametrize("text", ["", ",", "auto,cg", "off,e3nn", "off,!cg", "a b", "cg;e3nn", "!auto", "cg,!off"])
def test_requests_that_mean_nothing(text: str) -> None:
    with pytest.raises(SettingError, match="use auto, off"):
        Request.parse(text)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("TP_TUNE", "maybe", "TP_TUNE='maybe' .from environment.: use one of miss, off, force, require"),
        ("TP_BUDGET", "fast", "TP_BUDGET='fast' .from environment.: use a number of seconds"),
        ("TP_FALLBACK", "1", "use one of error, warn, host"),
        ("TP_BUDGET", "1e999", "use a number of seconds"),
        ("TP_PLUGINS", "cg-llvm,../evil", "use names of plugins, such as"),
        ("TP_CACHE_DIR", "~nobody-here/x", "TP_CACHE_DIR='~nobody-here/x' .from environment.: use a path whose home folder"),
    ],
)
def test_bad_values_name_the_right_ones(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        resolve({}, {variable: value})


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("2.5 s", 2.5), ("2m", 120), ("1 min", 60), ("1e-05", 1e-5), ("1.5E1s", 15)]
)
def test_budgets(text: str, seconds: float) -> None:
    assert resolve({"budget": text}).budget == seconds


def test_use_applies_inside_and_gives_back() -> None:
    outside = current()
    with tpregistry.use("cg", fallback="warn") as inside:
        assert current() is inside
        assert inside.backend.names == ("cg",)
        assert inside.fallback is Fallback.WARN
        with tpregistry.use(tune="off") as nested:
            assert (nested.backend.names, nested.tune) == (("cg",), Tune.OFF)
    assert current() is outside


def test_the_same_use_is_the_same_object() -> None:
    """Kernels are bound to the identity of settings: entering a block again must find them."""
    with tpregistry.use("cg") as first:
        pass
    with tpregistry.use("cg") as second:
        pass
    assert first is second


def test_unknown_names_in_code_and_project_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"unknown settings \['colour'\]"), tpregistry.use("auto", colour="red"):
        pass
    (tmp_path / "pyproject.toml").write_text('[tool.tpregistry]\nbackent = "auto"\n')
    with pytest.raises(SettingError, match=r"unknown settings \['backent'\]"):
        project_table(tmp_path)


def test_project_file_of_a_parent(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.tpregistry]\nbackend = ["cg", "e3nn"]\n')
    (tmp_path / "deep" / "er").mkdir(parents=True)
    assert resolve({}, {}, project_table(tmp_path / "deep" / "er")).backend.names == ("cg", "e3nn")


@pytest.mark.parametrize("text", ["[tool.tpregistry\n", "x = " + "[" * 100_000, "\0"])
def test_a_broken_project_file_is_a_warning(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.warns(UserWarning, match="could not be read"):
        assert project_table(tmp_path) == {}


def test_typos_warn_and_strangers_do_not() -> None:
    with pytest.warns(UserWarning, match="TP_BAKEND is not a setting of tpregistry; did you mean TP_BACKEND?"):
        found = warn_about_typos({"TP_BAKEND": "auto", "TP_SIZE": "4", "TP_BACKEND": "auto", "TP_RANK": "0"})
    assert len(found) == 1


def test_edit_distance() -> None:
    assert [edits("tune", word) for word in ("tune", "tun", "tnue", "dune", "cache")] == [0, 1, 2, 1, 4]


def test_values_of_code() -> None:
    with tpregistry.use(["a", "b"], plugins=("cg-llvm", "e3nn"), budget=1e-5) as settings:
        assert (settings.backend.names, settings.plugins, settings.budget) == (("a", "b"), ("cg-llvm", "e3nn"), 1e-5)
        with tpregistry.use(None, budget=None, plugins=None, cache_dir=None) as inside:
            assert inside.cache_dir == settings.cache_dir
            assert (inside.backend, inside.plugins, inside.budget) == (settings.backend, settings.plugins, settings.budget)
    with pytest.raises(SettingError, match="use a path whose home folder"), tpregistry.use(cache_dir="~nobody-here"):
        pass


def test_paths_stay_where_they_were_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may change its folder between two calls."""
    monkeypatch.chdir(tmp_path)
    settings = resolve({}, {"TP_CACHE_DIR": "records", "TP_REPORT": "ran-{pid}.json"})
    assert (settings.cache_dir, settings.report) == (tmp_path / "records", tmp_path / "ran-{pid}.json")
    with tpregistry.use(cache_dir="mine") as first:
        assert first.cache_dir == tmp_path / "mine"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with tpregistry.use(cache_dir="mine") as second:
        assert second.cache_dir == tmp_path / "other" / "mine"


def test_paths_of_a_project_file_are_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.tpregistry]\ncache_dir = "records"\nreport = "out/../ran.json"\n')
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    settings = resolve({}, {}, project_table(tmp_path / "deep"))
    assert (settings.cache_dir, settings.report) == (tmp_path / "records", tmp_path / "ran.json")


@pytest.mark.parametrize("text", ["[tool]\ntpregistry = 5\n", "[tool]\ntpregistry = []\n"])
def test_a_project_file_without_a_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(SettingError, match=r"make it a table, \[tool.tpregistry\]"):
        project_table(tmp_path)


@pytest.mark.parametrize("name", ["cache_dir", "report"])
@pytest.mark.parametrize("value", ["/elsewhere", "../elsewhere", "~/elsewhere", "in/../../elsewhere", "out/elsewhere", "file"])
def test_paths_of_a_project_file_stay_in_the_project(tmp_path: Path, name: str, value: str) -> None:
    """Also where its own links lead out."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "out").symlink_to("..")
    (project / "file").symlink_to("../elsewhere")
    (project / "pyproject.toml").write_text(f'[tool.tpregistry]\n{name} = "{value}"\n')
    with pytest.raises(SettingError, match=f"leads out of the project; use a path inside of {project}, or set TP_{name.upper()}"):
        project_table(project)


@pytest.mark.parametrize("value", [".", "kept", "./a/../b", "in/kept"])
def test_paths_inside(tmp_path: Path, value: str) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "in").symlink_to("target")
    (tmp_path / "pyproject.toml").write_text(f'[tool.tpregistry]\ncache_dir = "{value}"\n')
    assert project_table(tmp_path)["cache_dir"] == os.path.normpath(tmp_path / value)


PLANTED = '[tool.tpregistry]\ncache_dir = "planted"\nreport = "overwritten"\nbackend = "theirs"\n'


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_project_file_that_others_can_put_there_is_ignored(tmp_path: Path, mode: int) -> None:
    (shared(tmp_path / "all", mode) / "own").mkdir()
    (tmp_path / "all" / "pyproject.toml").write_text(PLANTED)
    with pytest.warns(UserWarning, match=r"\[tool.tpregistry\] of .* is ignored: .* can be written by others; set TP_\*") as caught:
        assert project_table(tmp_path / "all" / "own") == {}
    assert len(caught) == 1


def test_one_larger_than_any_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PLANTED + "#" * (5 << 20))
    with pytest.warns(UserWarning, match=r"is ignored: .*pyproject.toml is larger than 4 MB"):
        assert project_table(tmp_path) == {}


@pytest.mark.parametrize("text", ["[project]\nname = 'x'\n", "[tool.ruff]\n", "broken", ""])
def test_one_that_does_not_speak_of_us_is_no_matter(tmp_path: Path, text: str) -> None:
    (shared(tmp_path / "all") / "pyproject.toml").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert project_table(tmp_path / "all") == {}


def test_a_pipe_in_the_place_of_a_project_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pyproject.toml")
    assert project_table(tmp_path).get("cache_dir") is None


@pytest.mark.processes
def test_a_project_file_of_a_strangers_is_ignored(place: Path) -> None:
    """In a folder of his own, and one that he was let write into a folder of ours, where we work below."""
    shared(place / "all")
    act(STRANGER, lambda: (place / "all" / "pyproject.toml").write_text(PLANTED) and None)
    (place / "all" / "work").mkdir()
    for mode in (0o777, 0o755):
        (place / "all").chmod(mode)
        with pytest.warns(UserWarning, match="is ignored"):
            assert project_table(place / "all" / "work") == {}
    os.chown(place / "all", STRANGER, STRANGER)
    with pytest.warns(UserWarning, match="belongs to another user"):
        assert project_table(place / "all" / "work") == {}
