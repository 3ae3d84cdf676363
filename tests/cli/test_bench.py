from __future__ import annotations

import pytest

from tests.cli.test_verify import MOODY

pytest.importorskip("e3nn")
SMALL = ("4x0e+4x1o", "0e+1o", "--batch", "10", "--rounds", "3")


def test_every_valid_backend_in_every_pattern(tp, tmp_path):
    ended = tp("bench", *SMALL, TP_PLUGINS="e3nn,cg-hoist")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert "10 samples on " in lines[0]
    assert lines[1].split("  ")[1] == "backend"
    assert lines[1].count("vs host") == 3
    rows = {line.split()[0]: line for line in lines[2:4]}
    assert rows["cg-hoist"].count("µs") == rows["cg-hoist"].count("x (") == 3
    assert "x (" not in rows["e3nn"]
    assert not (tmp_path / "store" / "v1").exists(), "nothing is recorded"


def test_json_holds_every_sample_and_every_reason(tp, plugins):
    path = plugins({"moody": MOODY}, moody={"moody": "moody:Moody"})
    arguments = ("4x1o", "4x1o", "--mode", "uuu", "--per-sample", "--derivatives", "0", "--rounds", "4", "--json")
    ended = tp("bench", *arguments, PYTHONPATH=path, TP_PLUGINS="e3nn,moody")
    assert ended.code == 3
    assert ended.json["schema"] == "tpregistry.bench/1"
    (one,) = ended.json["problems"]
    host, moody = one["backends"]
    assert (one["host"], host["name"], moody["name"]) == ("e3nn", "e3nn", "moody")
    assert list(host["patterns"]) == ["forward"]
    assert len(host["patterns"]["forward"]["samples_us"]) == 4
    assert host["patterns"]["forward"]["ratio"] == 1
    assert (moody["outcome"], moody["patterns"]) == ("wrong", {})
    assert moody["reasons"][0].startswith("TP190 wrong: ")
    assert {entry["name"] for entry in one["unsupported"]} >= {"cg-dense", "cg-hoist", "cg-llvm"}


def test_a_subject_that_cannot_be_read(tp):
    ended = tp("bench", "nowhere.json")
    assert (ended.code, ended.out, ended.err) == (2, "", "error: there is no file nowhere.json\n")
