"""Whose a file may be, and what: asked as root, as a user, and as a stranger to both."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.others import STRANGER, USER, act, place, shared
from tpregistry import trust
from tpregistry.trust import Untrusted

__all__ = ["place"]


def refused(path: Path, ours: bool = False) -> str:
    with pytest.raises(Untrusted) as raised:
        trust.read(path, 100, ours=ours)
    return str(raised.value)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_plain_file_is_read(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    for ours in (False, True):
        assert trust.read(tmp_path / "file", 100, ours=ours) == b"x" * size


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "is not a regular file"),
    "folder": (os.mkdir, "is not a regular file"),
    "link to a device that never ends": (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    "larger than it may be": (lambda path: path.write_bytes(b"x" * 101), "is larger than"),
    "sparse": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 33), "is larger than"),
}


@pytest.mark.parametrize("kind", UNFIT)
@pytest.mark.parametrize("ours", [False, True])
def test_what_is_no_file_of_bounded_size(tmp_path: Path, kind: str, ours: bool) -> None:
    make, why = UNFIT[kind]
    make(tmp_path / "it")
    assert why in refused(tmp_path / "it", ours)


def test_what_is_not_there_is_a_miss_as_ever(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for name in ("none", "none/deeper", "nowhere"):
        for ours in (False, True):
            with pytest.raises(FileNotFoundError):
                trust.read(tmp_path / name, 100, ours=ours)


def test_links_of_the_users_own_are_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("text")
    (tmp_path / "folder").symlink_to("there")
    (tmp_path / "file").symlink_to("folder/file")
    assert trust.read(tmp_path / "file", 100, ours=True) == b"text"
    assert trust.fault(tmp_path / "folder") == ""


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o770, 0o707, 0o1777])
def test_a_folder_for_others_to_write(tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sticky one too: nobody can replace what is there, but anybody can add to it."""
    monkeypatch.setattr(trust, "_alone", lambda user, group: False)
    folder = shared(tmp_path / "folder", mode)
    (folder / "file").write_text("text")
    assert f"{folder} can be written by others" in refused(folder / "file", ours=True)
    assert trust.read(folder / "file", 100) == b"text", "data may lie anywhere"


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o602])
def test_a_file_for_others_to_write(tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_alone", lambda user, group: False)
    (tmp_path / "file").write_text("text")
    (tmp_path / "file").chmod(mode)
    assert "can be written by others" in refused(tmp_path / "file", ours=True)


def test_below_a_folder_for_others_to_write(tmp_path: Path) -> None:
    """Unless it is sticky: then nobody moves the one below away."""
    own = shared(tmp_path / "all", 0o777) / "own" / "deeper"
    own.mkdir(parents=True)
    assert trust.fault(own) == f"{tmp_path / 'all'} can be written by others"
    assert trust.fault(own / "not" / "there") == f"{tmp_path / 'all'} can be written by others"
    (tmp_path / "all").chmod(0o1777)
    assert trust.fault(own) == trust.fault(own / "not" / "there") == ""


PERSON = SimpleNamespace(pw_name="ada", pw_gid=1000)


@pytest.mark.parametrize(
    ("group", "alone"),
    [
        (SimpleNamespace(gr_name="ada", gr_mem=[]), True),
        (SimpleNamespace(gr_name="ada", gr_mem=["ada"]), True),
        (SimpleNamespace(gr_name="ada", gr_mem=["ada", "grace"]), False),
        (SimpleNamespace(gr_name="users", gr_mem=[]), False),
    ],
)
def test_a_group_is_others_unless_it_is_the_users_alone(
    group: SimpleNamespace, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda user: PERSON)
    monkeypatch.setattr(grp, "getgrgid", lambda number: group)
    trust._alone.cache_clear()
    assert trust._alone(1000, 1000) is alone
    assert trust._alone(1000, 1001) is False, "not that of the account"
    trust._alone.cache_clear()


def test_rights_of_a_list_are_those_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_alone", lambda user, group: True)
    folder = shared(tmp_path / "folder", 0o770)
    assert trust.fault(folder) == ""
    monkeypatch.setattr(os, "getxattr", lambda where, name: b"a list of rights", raising=False)
    assert "can be written by others" in trust.fault(folder)


def test_folders_are_made_for_their_owner_to_write(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        trust.make(tmp_path / "a" / "b" / "c", 0o700)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/c")] == [0o755, 0o755, 0o700]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        trust.make(tmp_path / "file" / "folder")


def test_without_users_every_owner_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python has it on Windows."""
    folder = shared(tmp_path / "folder")
    (folder / "file").write_text("text")
    for name in ("geteuid", "getxattr"):
        monkeypatch.delattr(os, name, raising=False)
    assert trust.read(folder / "file", 100, ours=True) == b"text"


@pytest.mark.processes
def test_what_a_stranger_has_made(place: Path) -> None:
    """His folder, his file in one of ours, and a file of ours in a folder of his."""
    shared(place / "all", 0o1777)

    def plant() -> None:
        (place / "all" / "file").write_text("his")
        (place / "all" / "his").mkdir()
        os.symlink("/etc/passwd", place / "all" / "link")

    act(STRANGER, plant)
    os.replace(place / "all" / "file", place / "file")
    os.replace(place / "all" / "link", place / "link")
    (place / "all" / "his" / "file").write_text("ours")
    assert "belongs to another user" in refused(place / "file", ours=True)
    assert "belongs to another user" in refused(place / "all" / "his" / "file", ours=True)
    assert "is a link that belongs to another user" in refused(place / "link")
    assert trust.read(place / "file", 100) == b"his"


@pytest.mark.processes
def test_what_a_user_trusts(place: Path) -> None:
    """What is his own or root's, and not what is a third's, as that of an administrator who is not root."""
    for name, owner in (("own", USER), ("roots", 0), ("thirds", STRANGER)):
        (place / name).mkdir()
        (place / name / "file").write_text(name)
        for path in (place / name, place / name / "file"):
            path.chmod(0o755)
            os.chown(path, owner, owner)

    def look() -> None:
        assert trust.read(place / "own" / "file", 100, ours=True) == b"own"
        assert trust.read(place / "roots" / "file", 100, ours=True) == b"roots"
        assert "belongs to another user" in refused(place / "thirds" / "file", ours=True)
        assert trust.read(place / "thirds" / "file", 100) == b"thirds"

    act(USER, look)
