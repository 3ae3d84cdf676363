"""The store: what is damaged, foreign or unwritable is a miss and one warning, never the end of a program."""

import json
import multiprocessing
import os
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from tests.others import STRANGER, act, place, shared
from tests.test_problem import PROBLEM
from tests.test_select import TUNED
from tpregistry.store import Record, Store, files
from tpregistry.store.files import leftovers, write_whole

__all__ = ["place"]
ENVIRONMENT = {"device": "cpu", "threads": "2"}
RECORD = replace(TUNED, environment=ENVIRONMENT)


def test_round_trip_between_processes(tmp_path: Path) -> None:
    Store(tmp_path).put(RECORD)
    assert Store(tmp_path).get(ENVIRONMENT, PROBLEM) == RECORD
    assert Store(tmp_path).get(ENVIRONMENT | {"threads": "4"}, PROBLEM) is None
    assert Store(tmp_path).records() == [RECORD]
    manifest = next(tmp_path.rglob("environment.json"))
    assert json.loads(manifest.read_text()) == ENVIRONMENT


def damaged(record: Record) -> dict[str, str]:
    whole = json.dumps(record.to_json())
    other = json.dumps(replace(record, problem=PROBLEM.at(batch=4)).to_json())
    return {
        "half-written": whole[: len(whole) // 2],
        "empty": "",
        "not an object": "[]",
        "other schema": whole.replace("tpregistry.record/1", "tpregistry.record/9"),
        "altered problem": whole.replace('"4x0e+2x1o"', '"4x0e+3x1o"'),
        "of another problem": other,
        "missing field": whole.replace('"entries"', '"entrants"'),
        "binary": "\x00\x01",
        "nested too deep": "[" * 200_000,
        "environment null": _with(whole, environment=None),
        "a winner that is a list": _with(whole, winner=["cg-hoist"]),
        "a winner without an entry": _with(whole, winner="nobody"),
        "seconds null": _with(whole, seconds=None),
        "created null": _with(whole, created=None),
        "versions null": _with(whole, versions=None),
        "an engine that is a number": _with(whole, engine=5),
        "reasons in one text": _with(whole, reasons="TP180"),
        "evidence of nothing": _with(whole, evidence={"main out": [None, 1]}),
        "samples of 0": _with(whole, samples_us=[0.0]),
        "samples that are no numbers": _with(whole, samples_us=[float("nan")]),
        "endless samples": _with(whole, samples_us=[float("inf")]),
        "samples beyond floats": _with(whole, samples_us=[10**400]),
        "uneven samples": whole.replace('"samples_us": [9.0]', '"samples_us": [9.0, 9.0]'),
    }


def _with(whole: str, **fields: object) -> str:
    """The same record with fields replaced, in its entries where they are theirs."""
    data = json.loads(whole)
    for part in (data, *data["entries"]):
        part.update({name: value for name, value in fields.items() if name in part})
    return json.dumps(data)


@pytest.mark.parametrize("kind", damaged(RECORD))
def test_damage_is_a_miss_and_one_warning(tmp_path: Path, kind: str) -> None:
    store = Store(tmp_path)
    path = store.path(ENVIRONMENT, PROBLEM)
    path.parent.mkdir(parents=True)
    path.write_text(damaged(RECORD)[kind])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert store.get(ENVIRONMENT, PROBLEM) is None
        assert store.get(ENVIRONMENT, PROBLEM) is None
    assert len(caught) == 1
    assert str(path) in str(caught[0].message)
    store.put(RECORD)
    assert Store(tmp_path).get(ENVIRONMENT, PROBLEM) == RECORD, "the next tuning mends it"


def test_unwritable_folder_keeps_records_in_memory_with_one_warning(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    store = Store(blocked)
    with pytest.warns(UserWarning, match="cannot be written") as caught:
        store.put(RECORD)
        store.put(RECORD)
    assert len(caught) == 1
    assert store.get(ENVIRONMENT, PROBLEM) == RECORD


def test_the_users_record_comes_before_the_sites(tmp_path: Path) -> None:
    site, user = tmp_path / "site", tmp_path / "user"
    Store(site).put(replace(RECORD, winner="e3nn"))
    layered = Store(user, (site,))
    assert layered.get(ENVIRONMENT, PROBLEM).winner == "e3nn"
    Store(user).put(RECORD)
    assert Store(user, (site,)).get(ENVIRONMENT, PROBLEM).winner == "cg-hoist"


def _write(root: Path, times: int) -> None:
    for _ in range(times):
        Store(root).put(RECORD)


def test_many_writers_leave_one_whole_record(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, 50)) for _ in range(3)]
    for writer in writers:
        writer.start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while any(writer.is_alive() for writer in writers):
            assert Store(tmp_path).get(ENVIRONMENT, PROBLEM) in (None, RECORD)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [name for name in os.listdir(Store(tmp_path).path(ENVIRONMENT, PROBLEM).parent) if name.endswith(".tmp")] == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_are_for_whom_the_umask_lets(tmp_path: Path, umask: int, mode: int) -> None:
    """A folder of records may be a group's."""
    before = os.umask(umask)
    try:
        Store(tmp_path / "store").put(RECORD)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.json")} == {mode}


def test_a_writer_that_is_killed_leaves_what_is_found_an_hour_later(tmp_path: Path) -> None:
    def killed() -> None:
        os.replace = lambda source, target: os._exit(9)
        write_whole(tmp_path / "record.json", b"{}")

    writer = multiprocessing.get_context("fork").Process(target=killed)
    writer.start()
    writer.join()
    (left,) = tmp_path.iterdir()
    assert leftovers(tmp_path) == [], "it may still be at work"
    os.utime(left, (time.time() - 7200, time.time() - 7200))
    for name in MINE:
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    assert leftovers(tmp_path) == [left]
    files._clean.cache_clear()
    write_whole(tmp_path / "record.json", b"{}")
    assert {path.name for path in tmp_path.iterdir()} == {*MINE, "record.json"}, "the next writer removes it"


MINE = ".mine-of-old.tmp", ".abcdefgh.tmp", ".tpregistry-0123456789abcdef.tmp.old", "tpregistry-0123456789abcdef.tmp"


def left_behind(folder: Path, number: int, hours: float = 2) -> Path:
    path = folder / f".tpregistry-{number:016x}.tmp"
    path.write_text("half")
    os.utime(path, (time.time() - 3600 * hours,) * 2)
    return path


def test_a_writer_removes_a_bounded_number_and_once(tmp_path: Path) -> None:
    for number in range(files.FEW + 20):
        left_behind(tmp_path, number)
    for _ in range(3):
        write_whole(tmp_path / "record.json", b"{}")
    assert len(leftovers(tmp_path)) == 20


def test_what_is_young_or_no_file_or_a_link_stays(tmp_path: Path) -> None:
    young, target = left_behind(tmp_path, 1, hours=0.9), left_behind(tmp_path, 2).rename(tmp_path / "target")
    os.symlink(target, tmp_path / f".tpregistry-{3:016x}.tmp")
    (tmp_path / f".tpregistry-{4:016x}.tmp").mkdir()
    os.utime(tmp_path / f".tpregistry-{3:016x}.tmp", (0, 0), follow_symlinks=False)
    os.utime(tmp_path / f".tpregistry-{4:016x}.tmp", (0, 0))
    before = set(tmp_path.iterdir())
    write_whole(tmp_path / "record.json", b"{}")
    assert set(tmp_path.iterdir()) == before | {tmp_path / "record.json"}
    assert young in before


@pytest.mark.processes
def test_what_another_has_left_is_his(place: Path) -> None:
    folder = shared(place / "all", 0o1777)
    act(STRANGER, lambda: left_behind(folder, 1) and None)
    ours = left_behind(folder, 2)
    write_whole(folder / "record.json", b"{}")
    assert not ours.exists()
    assert len(leftovers(folder)) == 1


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_a_miss_and_one_warning(tmp_path: Path, make) -> None:
    """And does not hang."""
    store = Store(tmp_path)
    path = store.path(ENVIRONMENT, PROBLEM)
    path.parent.mkdir(parents=True)
    make(path)
    with pytest.warns(UserWarning, match="is not a regular file") as caught:
        assert store.get(ENVIRONMENT, PROBLEM) is None
    assert len(caught) == 1
    assert Store(tmp_path / "user", (tmp_path,)).root == tmp_path / "user"


def test_a_record_larger_than_any_is_a_miss(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(RECORD)
    with store.path(ENVIRONMENT, PROBLEM).open("ab") as file:
        file.truncate(1 << 33)
    with pytest.warns(UserWarning, match="is larger than 16 MB"):
        assert Store(tmp_path).get(ENVIRONMENT, PROBLEM) is None


def test_a_link_in_the_place_of_a_record_is_replaced(tmp_path: Path) -> None:
    """Never written through; so is a pipe."""
    (tmp_path / "private").write_text("private")
    for number, make in enumerate((lambda path: path.symlink_to(tmp_path / "private"), os.mkfifo)):
        store = Store(tmp_path / str(number))
        path = store.path(ENVIRONMENT, PROBLEM)
        path.parent.mkdir(parents=True)
        make(path)
        make(path.parent / "environment.json")
        store.put(RECORD)
        assert Store(tmp_path / str(number)).get(ENVIRONMENT, PROBLEM) == RECORD
    assert (tmp_path / "private").read_text() == "private"


@pytest.mark.processes
def test_records_of_an_administrator_who_is_not_root_are_read(place: Path) -> None:
    """A site's store is data, whoever's it is; a link of his is not followed."""
    site = place / "site"
    shared(site)
    act(STRANGER, lambda: Store(site).put(RECORD))
    site.chmod(0o755)
    os.chown(site, STRANGER, STRANGER)
    assert Store(place / "user", (site,)).get(ENVIRONMENT, PROBLEM) == RECORD
    path = Store(site).path(ENVIRONMENT, PROBLEM)

    def link() -> None:
        os.replace(path, path.with_name("elsewhere"))
        os.symlink("elsewhere", path)

    act(STRANGER, link)
    with pytest.warns(UserWarning, match="is a link that belongs to another user"):
        assert Store(place / "user", (site,)).get(ENVIRONMENT, PROBLEM) is None
