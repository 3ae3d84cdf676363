"""TP_REPORT: whole or not there, and what it names is never replaced by something else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.others import STRANGER, act, place, shared
from tpregistry import report

__all__ = ["place"]


def test_a_report_that_fails_half_way_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    path = tmp_path / "ran.json"
    path.write_text("the old one")

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    report.write(str(path))
    assert [file.read_text() for file in tmp_path.glob("*ran*")] == ["the old one"]
    assert f"TP_REPORT={path} could not be written (No space left on device)" in capsys.readouterr().err


def test_links_are_followed(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "ran.json")
    report.write(str(link))
    assert link.is_symlink()
    assert json.loads((tmp_path / "ran.json").read_text())["schema"] == "tpregistry.decisions/1"


def test_a_device_stays_one() -> None:
    report.write(os.devnull)
    assert Path(os.devnull).is_char_device()


def test_a_link_to_what_is_open_is_written_in_place(tmp_path: Path) -> None:
    """As /dev/stderr is one to a log."""
    log = tmp_path / "log"
    with log.open("w") as file:
        (tmp_path / "link").symlink_to(f"/proc/self/fd/{file.fileno()}")
        before = log.stat().st_ino
        report.write(str(tmp_path / "link"))
    assert log.stat().st_ino == before
    assert json.loads(log.read_text())["schema"] == "tpregistry.decisions/1"


def test_a_pipe_is_written_to_where_somebody_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody waits for a reader at the end of a program."""
    os.mkfifo(tmp_path / "pipe")
    report.write(str(tmp_path / "pipe"))
    assert "could not be written" in capsys.readouterr().err
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    report.write(str(tmp_path / "pipe"))
    assert json.loads(os.read(reader, 1 << 16))["schema"] == "tpregistry.decisions/1"
    os.close(reader)


def test_a_pipe_without_a_name(tmp_path: Path) -> None:
    """As /dev/stdout leads to one."""
    reader, writer = os.pipe()
    report.write(f"/proc/self/fd/{writer}")
    assert json.loads(os.read(reader, 1 << 16))["schema"] == "tpregistry.decisions/1"
    os.close(reader)
    os.close(writer)


def test_links_in_a_circle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    report.write(str(tmp_path / "one"))
    assert "leads from link to link without end" in capsys.readouterr().err


@pytest.mark.processes
@pytest.mark.parametrize("sticky", [True, False])
def test_what_a_stranger_has_planted_is_not_written_through(place: Path, sticky: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Links to a private file, to none, and by way of our own link; and a pipe."""
    folder = shared(place / "all", 0o1777 if sticky else 0o777)
    (place / "private").write_text("private")

    def plant() -> None:
        os.symlink(place / "private", folder / "link")
        os.symlink(place / "new", folder / "nowhere")
        os.mkfifo(folder / "pipe")

    act(STRANGER, plant)
    (folder / "ours").symlink_to("link")
    for name in ("link", "nowhere", "pipe", "ours"):
        report.write(str(folder / name))
        assert "could not be written (belongs to another user" in capsys.readouterr().err
    assert (place / "private").read_text() == "private"
    assert not (place / "new").exists()
