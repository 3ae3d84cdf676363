"""Compiled code: loaded from where nobody else can write, under the name that it was kept by."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tpregistry
from tests.others import STRANGER, USER, act, place, shared
from tpregistry import settings
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.native import compiler
from tpregistry.problem import Mode, Problem
from tpregistry.store import Code, code, open_code
from tpregistry.store.code import is_whole

__all__ = ["place"]
CODE = b"machine code"
PROBLEM = problem_from_irreps("2x1o", "1o", "2x1e", Mode.UVU, shared_weights=False, dtype="float32")
TWICE = replace(PROBLEM, paths=tuple(replace(path, coefficient=2 * path.coefficient) for path in PROBLEM.paths))


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_loaded", {})
    code._told.clear()


def numbers(problem: Problem) -> torch.Tensor:
    """What a process computes that has just started."""
    from tpregistry_cg import CgLlvm

    compiler._loaded.clear()
    return CgLlvm().build(problem, "cpu")(torch.ones(3, 6), torch.arange(9.0).reshape(3, 3), torch.ones(3, 2))


def kept() -> list[Path]:
    return sorted(open_code("cg-llvm").folder.iterdir())


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Code(tmp_path / "store" / "code" / "x").put("key", CODE)
    finally:
        os.umask(before)
    assert Code(tmp_path / "store" / "code" / "x").get("key") == CODE
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"store": 0o755, "code": 0o755, "x": 0o700, "key": 0o600}


@pytest.mark.parametrize("damage", ["swapped", "renamed", "cut", "longer", "empty", "of another checksum"])
def test_what_was_not_kept_under_that_name_is_a_miss(tmp_path: Path, damage: str) -> None:
    store = Code(tmp_path)
    for key in ("one", "two"):
        store.put(key, key.encode())
    one, two = (tmp_path / key for key in ("one", "two"))
    whole = one.read_bytes()
    texts = {"swapped": two.read_bytes(), "cut": whole[:-1], "longer": whole + b"x", "empty": b"", "of another checksum": b"x" * 40}
    os.replace(two, one) if damage == "renamed" else one.write_bytes(texts[damage])
    assert store.get("one") is None
    assert not is_whole(one)


def test_swapped_files_give_the_same_numbers() -> None:
    """Both are whole, and of the right folder and owner."""
    once, twice = numbers(PROBLEM), numbers(TWICE)
    torch.testing.assert_close(twice, 2 * once)
    one, other = kept()
    texts = one.read_bytes(), other.read_bytes()
    for path, text in zip((other, one), texts, strict=True):
        path.write_bytes(text)
    assert torch.equal(numbers(PROBLEM), once)
    assert torch.equal(numbers(TWICE), twice)
    assert (one.read_bytes(), other.read_bytes()) == texts, "made anew, and kept"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_a_miss(tmp_path: Path, make, capsys) -> None:
    make(tmp_path / "key")
    assert Code(tmp_path).get("key") is None
    assert "is not a regular file" in capsys.readouterr().err


def test_a_folder_for_others_to_write_keeps_nothing_and_says_so_once(tmp_path: Path, capsys) -> None:
    folder = shared(tmp_path / "all")
    with tpregistry.use(cache_dir=folder):
        first = numbers(PROBLEM)
        assert torch.equal(numbers(PROBLEM), first)
        assert open_code("other").get("key") is None
    (said,) = capsys.readouterr().err.splitlines()
    assert f"{folder} can be written by others" in said
    assert "let TP_CACHE_DIR name a folder of your own" in said
    assert list(folder.iterdir()) == []


def test_the_folder_of_a_project_file_is_for_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that is cloned is the user's, and may bring compiled code."""
    (tmp_path / "pyproject.toml").write_text('[tool.tpregistry]\ncache_dir = "kept"\n')
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TP_CACHE_DIR")
    monkeypatch.chdir(tmp_path)
    settings.process_settings.cache_clear()
    assert settings.current().cache_dir == tmp_path / "kept"
    assert not open_code("x").folder.is_relative_to(tmp_path / "kept")
    monkeypatch.setenv("TP_CACHE_DIR", str(tmp_path / "kept"))
    settings.process_settings.cache_clear()
    assert open_code("x").folder == tmp_path / "kept" / "code" / "x"


@pytest.mark.processes
def test_code_that_a_stranger_has_planted_does_not_run(place: Path, capsys) -> None:
    """In a folder for all, and in one of his own: code that is right, but for another problem."""
    expected = numbers(PROBLEM)
    (right,) = kept()
    numbers(TWICE)
    (wrong,) = (path for path in kept() if path != right)
    machine = Code(wrong.parent).get(wrong.name)
    assert machine is not None
    shared(place / "all")
    act(STRANGER, lambda: Code(place / "all" / "code" / "cg-llvm").put(right.name, machine))
    folder = place / "all" / "code" / "cg-llvm"
    assert not folder.exists(), "he must make it himself"
    planted = code._checksum(right.name, machine) + machine

    def plant() -> None:
        folder.mkdir(parents=True)
        (folder / right.name).write_bytes(planted)

    act(STRANGER, plant)
    for mode in (0o777, 0o755):
        (place / "all").chmod(mode)
        code._told.clear()
        with tpregistry.use(cache_dir=place / "all"):
            assert torch.equal(numbers(PROBLEM), expected)
        assert capsys.readouterr().err.count("is not used but made anew") == 1
    assert (folder / right.name).read_bytes() == planted, "nothing is written there either"


@pytest.mark.processes
def test_a_file_of_a_strangers_in_a_folder_of_ours(place: Path) -> None:
    shared(place / "all", 0o1777)
    store = Code(place / "own")
    store.put("key", CODE)
    text = (place / "own" / "key").read_bytes()
    act(STRANGER, lambda: (place / "all" / "key").write_bytes(text) and None)
    os.replace(place / "all" / "key", place / "own" / "key")
    assert store.get("key") is None
    store.put("key", CODE)
    assert store.get("key") == CODE, "replaced by our own"


@pytest.mark.processes
def test_a_user_keeps_his_own_and_loads_roots(place: Path) -> None:
    shared(place / "home", 0o700)
    os.chown(place / "home", USER, USER)
    Code(place / "image").put("key", CODE)
    for path in (place / "image", place / "image" / "key"):
        path.chmod(0o755)

    def use() -> None:
        own = Code(place / "home" / "code" / "x")
        own.put("key", CODE)
        assert own.get("key") == CODE
        assert Code(place / "image").get("key") == CODE
        Code(place / "image").put("other", CODE)

    act(USER, use)
    assert Code(place / "home" / "code" / "x").get("key") is None, "root does not run a user's"
