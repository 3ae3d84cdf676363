"""The store: what is damaged, foreign or unwritable is a miss and one warning, never the end of a program."""

import json
import multiprocessing
import os
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from tests.test_problem import PROBLEM
from tests.test_select import TUNED
from tpregistry.store import Record, Store

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
    }


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
