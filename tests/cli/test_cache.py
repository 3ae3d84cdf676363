from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from tests.cli.conftest import clean_environment
from tests.test_problem import PROBLEM
from tests.test_select import TUNED
from tpregistry.store import Code, Entry, Outcome, Store

HERE = {"device": "some CPU", "threads": "2", "host": "host"}
RECORD = replace(TUNED, environment=HERE, created="2026-01-01T00:00:00+00:00", batch=64, tpregistry="0.1.0")
OTHER = replace(RECORD, problem=PROBLEM.at(batch=4096), created="2026-02-01T00:00:00+00:00")
DIGEST = PROBLEM.digest


@pytest.fixture
def filled(tmp_path):
    """Three records of two problems, two files of code, and things that are not ours."""
    root = tmp_path / "store"
    store = Store(root)
    refusal = Entry("refusing", Outcome.UNSUPPORTED, reasons=("TP120 no kernels for this device (move it)",))
    for record in (RECORD.with_entry(refusal), OTHER, replace(RECORD, environment=HERE | {"threads": "4"})):
        store.put(record)
    for key in ("one.o", "two.o"):
        Code(root / "code" / "compiling").put(key, b"machine code")
    foreign = {
        "notes.txt": "mine",
        "code/main.py": "print()",
        "code/package/module.py": "print()",
        "v1/readme.json": "{}",
        f"v1/{store.path(HERE, PROBLEM).parent.name}/mine.txt": "",
    }
    for name, text in foreign.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root, {root / name for name in foreign}


def files(root):
    return {path for path in root.rglob("*") if path.is_file()}


def test_the_folder(tp, tmp_path):
    ended = tp("cache", "dir")
    assert (ended.code, ended.out, ended.err) == (0, f"{tmp_path / 'store'}\n", "")
    assert tp("cache", "dir", "--json").json["exists"] is False


def test_what_is_kept(tp, filled):
    ended = tp("cache", "ls")
    assert (ended.code, ended.err) == (0, "")
    assert "Records  3 records, " in ended.out
    rows = [line.split() for line in ended.out.splitlines() if line.startswith(f"  {OTHER.problem.digest[:8]}")]
    assert [row[:2] for row in rows] == [[OTHER.problem.digest[:8], RECORD.winner]]
    assert "Code  2 files, 88 B" in ended.out
    data = tp("cache", "ls", "--json").json
    assert data["schema"] == "tpregistry.cache.ls/1"
    assert [one["digest"] for one in data["records"]] == [OTHER.problem.digest, DIGEST, DIGEST]
    assert data["code"] == [{"backend": "compiling", "files": 2, "bytes": 88}]


def test_one_record_with_its_evidence(tp, filled):
    ended = tp("cache", "show", DIGEST[:8])
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count(DIGEST) == 2, "one for each environment"
    assert "some CPU (threads 4)" in ended.out
    assert "refusing: TP120 no kernels for this device (move it)" in ended.out
    data = tp("cache", "show", DIGEST, "--json").json
    assert [one["digest"] for one in data["records"]] == [DIGEST] * 2


def test_removing_the_records_of_one_problem(tp, filled):
    root, foreign = filled
    ended = tp("cache", "rm", DIGEST[:6])
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("removed 2 records (")
    assert list(Store(root).records()) == [OTHER]
    assert foreign < files(root)
    assert len(list((root / "v1").iterdir())) == 2, "a folder without records is gone, the foreign file stays"


def test_all_digests_are_read_before_any_record_is_removed(tp, filled):
    ended = tp("cache", "rm", DIGEST, "0123456789")
    assert (ended.code, ended.out) == (2, "")
    assert "none of the 3 records in" in ended.err
    assert len(Store(filled[0]).records()) == 3


@pytest.mark.parametrize(
    ("options", "records", "code"), [((), 0, 0), (("--records",), 0, 2), (("--code",), 3, 0), (("--code", "--records"), 0, 0)]
)
def test_clearing_leaves_what_is_not_ours(tp, filled, options, records, code):
    root, foreign = filled
    ended = tp("cache", "clear", "--yes", "--json", *options)
    assert ended.json == {
        "schema": "tpregistry.cache.clear/1",
        "records": 3 - records,
        "record_bytes": ended.json["record_bytes"],
        "code_files": 2 - code,
        "code_bytes": 44 * (2 - code),
        "leftovers": 0,
        "leftover_bytes": 0,
    }
    assert len(Store(root).records()) == records
    assert len(list((root / "code").glob("compiling/*"))) == code
    assert foreign <= files(root)
    if not records + code:
        environments = {path for path in files(root) - foreign if path.name == "environment.json"}
        assert files(root) - foreign == environments
        assert len(environments) == 1, "its folder holds a foreign file"


def test_what_is_damaged_stays_and_is_named(tp, filled):
    root, _ = filled
    damaged = Store(root).path(HERE, PROBLEM)
    damaged.write_text("half a rec")
    code = root / "code" / "compiling" / "one.o"
    code.write_bytes(hashlib.sha256(b"x").digest() + b"y")
    ended = tp("cache", "clear", "--yes")
    assert ended.code == 0
    assert f"warning: {damaged} is not a record" in ended.err
    assert damaged.exists()
    assert code.exists()


def test_without_a_terminal_it_asks_for_yes(tp, filled):
    ended = tp("cache", "clear")
    assert (ended.code, ended.out) == (2, "")
    assert "error: this would remove 3 records (" in ended.err
    assert ended.err.endswith("add --yes\n")
    assert len(Store(filled[0]).records()) == 3


@pytest.mark.processes
@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 3), ("y", 0, 0)])
def test_on_a_terminal_it_asks(tmp_path, filled, answer, code, left):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tpregistry.cli", "cache", "clear"]
    environ = clean_environment(tmp_path)
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code
    assert b"Remove 3 records (" in err
    assert bool(out) == (code == 0)
    assert len(Store(filled[0]).records()) == left


def test_nothing_to_remove(tp):
    ended = tp("cache", "clear")
    assert (ended.code, ended.out) == (0, "nothing to remove\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "abcdef"), "none of the 0 records in"),
        (("rm", "abc"), "'abc' is no digest: give the first 4 to 24 of its hex digits"),
        (("show", "4x0e"), "'4x0e' is no digest"),
    ],
)
def test_what_cannot_be_found(tp, arguments, message):
    ended = tp("cache", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_two_problems_that_start_alike(tmp_path, tp):
    store = Store(tmp_path / "store")
    problems = [PROBLEM.at(batch=batch) for batch in range(1, 2000)]
    starts: dict[str, list] = {}
    for problem in problems:
        starts.setdefault(problem.digest[:4], []).append(problem)
    start, alike = next((start, found) for start, found in starts.items() if len(found) > 1)
    for problem in alike:
        store.put(replace(RECORD, problem=problem))
    ended = tp("cache", "show", start)
    assert ended.code == 2
    assert json.dumps(sorted(problem.digest for problem in alike)[0])[1:-1] in ended.err


def test_leftovers_of_killed_writers_go_with_the_rest(tp, filled):
    root, foreign = filled
    folders = [Store(root).path(HERE, PROBLEM).parent, root / "code" / "compiling"]
    for folder in folders:
        for name, hours in ((".tpregistry-fedcba9876543210.tmp", 2), (".tpregistry-0123456789abcdef.tmp", 0)):
            (folder / name).write_text("half")
            os.utime(folder / name, (time.time() - 3600 * hours,) * 2)
    asked = tp("cache", "clear", "--code")
    assert "error: this would remove 2 files of code (88 B) and 1 leftover (4 B)" in asked.err
    assert tp("cache", "clear", "--yes").out.endswith(" and 2 leftovers (8 B)\n")
    young = {folder / ".tpregistry-0123456789abcdef.tmp" for folder in folders}
    assert young | foreign <= files(root)
    assert {path for path in files(root) if path.suffix == ".tmp"} == young


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("cache", "ls"), ("cache", "show", DIGEST), ("explain", DIGEST), ("doctor",)])
@pytest.mark.parametrize("text", ["[" * 200_000, json.dumps(RECORD.to_json() | {"environment": None, "created": None})])
def test_a_damaged_record_is_one_warning(tp, tmp_path, arguments, text):
    path = Store(tmp_path / "store").path(HERE, PROBLEM)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    ended = tp(*arguments)
    assert (ended.err + ended.out).count(f"{path} is not a record") == 1
