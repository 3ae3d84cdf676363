"""Whatever the machine does, a few starts find the faster code, and no start one that is slower than the host's."""

from dataclasses import replace

import numpy as np
import pytest

from tests.test_problem import PROBLEM
from tests.tune.machine import HOST, busy, drifting, heavy_tailed, life, quiet, start
from tpregistry.store import Entry, Outcome, Record
from tpregistry.tune.race import BAND
from tpregistry.tune.standing import STARTS, left, rivals, words

MACHINES = (quiet, drifting, busy, heavy_tailed)
LIVES = 20
SLOW = {
    "of the issue: a third faster, four contestants": {HOST: 146e3, "dense": 190e3, "fast": 80e3, "hoist": 130e3, "other": 170e3},
    "half as much again": {HOST: 150e3, "dense": 190e3, "fast": 100e3, "hoist": 140e3},
    "short calls": {HOST: 500.0, "fast": 350.0, "dense": 600.0},
    "seconds a call": {HOST: 1.5e6, "fast": 0.7e6},
}
TIES = {
    "all a little slower": {HOST: 150e3, "a": 155e3, "b": 156e3, "c": 154e3},
    "short calls": {HOST: 500.0, "a": 515.0, "b": 512.0},
}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_few_starts_find_the_faster_one(machine) -> None:
    for name, costs in SLOW.items():
        if machine is heavy_tailed and name == "seconds a call":
            continue  # a dozen rounds are too few for tails that hit whole seconds
        noise = machine(np.random.default_rng(3))
        found = [life(costs, noise, 10 * seed) for seed in range(LIVES)]
        assert sum(record.winner == "fast" for record in found) >= 0.95 * LIVES, name
        assert max(record.starts for record in found) <= STARTS


@pytest.mark.parametrize("machine", MACHINES)
def test_no_start_takes_what_is_slower_than_the_host(machine) -> None:
    for costs in TIES.values():
        noise = machine(np.random.default_rng(4))
        found = [life(costs, noise, 10 * seed) for seed in range(2 * LIVES)]
        assert all(costs[str(record.winner)] <= (1 + BAND) * costs[HOST] for record in found)


def test_a_busy_start_is_provisional_and_says_between_whom() -> None:
    record = start(SLOW["half as much again"], busy(np.random.default_rng(0)), None, 0, 3.0)
    assert record.winner == HOST
    assert left(record, ["fast", HOST]) == ("fast",)
    (rival,) = (rival for rival in rivals(record) if rival.name == "fast")
    assert rival.low < 1.11 < rival.high
    said = words(record, ["fast", HOST])
    assert said.startswith(f"provisional after 1 start of {STARTS}: fast {rival.low:.2f} to {rival.high:.2f} times as fast (95 %, ")
    assert said.endswith(" rounds); the next start goes on")


def record(winner: str, **samples: tuple[float | None, ...]) -> Record:
    entries = tuple(Entry(name, Outcome.OK, samples_us=times) for name, times in samples.items())
    return Record(PROBLEM, {}, HOST, entries, winner)


def test_a_tie_that_was_separated_stands() -> None:
    settled = record(HOST, host=(100.0,) * 11, same=(99.0,) * 11)
    assert left(settled, [HOST, "same"]) == ()
    assert words(settled, [HOST, "same"]) == ""


def test_who_was_not_built_or_not_timed_is_next_where_it_can_be() -> None:
    known = record(HOST, host=(100.0,) * 11, same=(99.0,) * 11).with_entry(Entry("new", Outcome.NOT_BUILT))
    known = known.with_entry(Entry("forced", Outcome.OK))
    assert left(known, [HOST, "same", "new", "forced"]) == ("new", "forced")
    assert left(known, [HOST, "same"]) == ()
    assert words(known, [HOST, "new"]) == "provisional after 1 start of 4: new not timed yet; the next start goes on"


def test_after_so_many_starts_it_stands_and_says_so() -> None:
    last = replace(record(HOST, host=(100.0,) * 4, noisy=(50.0, 200.0, 60.0, 90.0)), starts=STARTS)
    assert left(last, [HOST, "noisy"]) == ()
    assert words(last, [HOST, "noisy"]).startswith("not told apart in 4 starts of 4: noisy ")


def test_who_lost_for_sure_is_not_measured_again() -> None:
    costs = {HOST: 100e3, "fast": 40e3, "slow": 400e3}
    first = start(costs, lambda cost: cost, None, 0, 2.0)
    timed = {entry.backend: len(entry.timed_us) for entry in first.entries}
    assert first.winner == "fast"
    assert timed["slow"] == 3 < timed[HOST]
    assert left(first, list(costs)) == ()
