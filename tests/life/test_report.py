"""TP_REPORT: whole or not there, and what it names is never replaced by something else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tpregistry import report


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
