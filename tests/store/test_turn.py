"""One process measures, the others wait for it; a process that is killed or forked keeps nobody waiting."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tpregistry.store.turn import turn

HOLD = """
import sys, time
from pathlib import Path
from tpregistry.store.turn import turn
with turn(Path(sys.argv[1]), 0) as ours:
    print(ours, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "v1" / "environment" / f"{'f' * 64}.json"


def test_one_at_a_time_and_nothing_is_left(record: Path) -> None:
    with turn(record, 0) as first, turn(record, 0.1) as second:
        assert (first, second) == (True, False)
    with turn(record, 0) as later:
        assert later
    assert list(record.parent.iterdir()) == []


def test_other_problems_are_not_waited_for(record: Path) -> None:
    with turn(record, 0), turn(record.with_name(f"{'e' * 64}.json"), 0) as ours:
        assert ours


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_where_nothing_can_be_written_everybody_measures(record: Path) -> None:
    record.parent.mkdir(parents=True)
    record.parent.chmod(0o500)
    with turn(record, 0) as first, turn(record, 0) as second:
        assert (first, second) == (True, True)
    record.parent.chmod(0o700)


def test_a_link_in_its_place_is_not_followed(record: Path, tmp_path: Path) -> None:
    record.parent.mkdir(parents=True)
    (record.parent / f".{'f' * 16}.tmp").symlink_to(tmp_path / "elsewhere")
    with turn(record, 0) as ours:
        assert ours
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.processes
def test_a_kill_releases_it(record: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(record)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    with turn(record, 0) as ours:
        assert not ours
    holder.send_signal(signal.SIGKILL)
    with turn(record, 20) as ours:
        assert ours
    holder.wait()
    holder.stdout.close()


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_hold_it_for_its_parent(record: Path) -> None:
    with turn(record, 0):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
    with turn(record, 5) as ours:
        assert ours, "although the child lives"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_leaves_the_turn_does_not_end_that_of_its_parent(record: Path) -> None:
    child = 0
    with turn(record, 0):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            with turn(record, 0) as second:
                assert not second
    if child == 0:
        os._exit(0)
