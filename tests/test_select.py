"""Selection: a table of settings, candidates and records, without a framework in sight."""

from dataclasses import replace

import pytest

from tests.test_problem import PROBLEM
from tpregistry.backend import Reason
from tpregistry.irreps import Irreps
from tpregistry.problem import Mode, Path
from tpregistry.select import Candidate, Choice, Source, select
from tpregistry.settings import Request, Settings, Tune
from tpregistry.store import Entry, Outcome, Record

HOST = Candidate("e3nn", "e3nn", host=True, versions=(("e3nn", "0.6"),))
DENSE = Candidate("cg-dense", "cg", versions=(("tpregistry", "1"),))
HOIST = Candidate("cg-hoist", "cg", versions=(("tpregistry", "1"),))
UNABLE = Candidate("oeq", "oeq", reasons=(Reason("TP120", "no GPU"),))
ALL = (DENSE, HOIST, HOST, UNABLE)


def record(winner: str | None, **medians: float) -> Record:
    versions = {candidate.name.replace("-", "_"): dict(candidate.versions) for candidate in ALL}
    entries = tuple(
        Entry(name.replace("_", "-"), Outcome.OK, versions[name], samples_us=(median,) * 11) for name, median in medians.items()
    )
    return Record(PROBLEM, {}, "e3nn", entries, winner)


TUNED = record("cg-hoist", e3nn=9.0, cg_dense=5.0, cg_hoist=3.0)


def choose(text: str, known: Record | None = None, tune: Tune = Tune.MISS, may_measure: bool = True) -> Choice:
    return select(PROBLEM, ALL, Settings(Request.parse(text), tune), known, may_measure=may_measure)


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("off", TUNED, Choice(("e3nn",), Source.OFF)),
        ("auto", TUNED, Choice(("cg-hoist", "e3nn"), Source.RECORD)),
        ("auto", None, Choice(("cg-dense", "cg-hoist", "e3nn"), Source.TUNED, measure=True)),
        ("auto,!cg-hoist", TUNED, Choice(("cg-dense", "e3nn"), Source.RECORD)),
        ("auto,!cg", TUNED, Choice(("e3nn", "e3nn"), Source.RECORD)),
        ("!cg", None, Choice(("e3nn",), Source.HEURISTIC)),
        ("cg-dense", TUNED, Choice(("cg-dense",), Source.FORCED)),
        ("cg", TUNED, Choice(("cg-hoist", "cg-dense"), Source.FORCED)),
        ("cg", None, Choice(("cg-dense", "cg-hoist"), Source.FORCED, measure=True)),
        ("oeq,cg-dense,e3nn", None, Choice(("cg-dense", "e3nn"), Source.PREFERENCE)),
        ("oeq", None, Choice((), Source.FORCED)),
    ],
)
def test_table(text: str, known: Record | None, expected: Choice) -> None:
    assert choose(text, known) == expected


@pytest.mark.parametrize("tune", [Tune.OFF, Tune.REQUIRE])
def test_nothing_unmeasured_is_preferred_to_the_host(tune: Tune) -> None:
    assert choose("auto", tune=tune) == Choice(("e3nn",), Source.HEURISTIC)


def test_scalings_stay_with_the_host() -> None:
    scaling = PROBLEM.at(paths=(Path(0, 0, 0, Mode.UUU, True, 1.0),), irreps_in2=Irreps.parse("4x0e"))
    assert select(scaling, ALL, Settings(), None, may_measure=True) == Choice(("e3nn",), Source.RULE)
    forced = Settings(Request.parse("cg-dense"))
    assert select(scaling, ALL, forced, None, may_measure=True) == Choice(("cg-dense",), Source.FORCED)


def test_nothing_is_measured_where_it_must_not_be() -> None:
    assert not choose("auto", may_measure=False).measure
    assert choose("cg", may_measure=False) == Choice(("cg-dense", "cg-hoist"), Source.FORCED)


def test_force_measures_again() -> None:
    assert choose("auto", TUNED, Tune.FORCE).measure


def test_a_new_version_of_the_winner_or_the_host_voids_a_record_and_so_does_a_newcomer() -> None:
    def source(*candidates: Candidate) -> Source:
        return select(PROBLEM, candidates, Settings(), TUNED, may_measure=True).source

    newer = (("tpregistry", "2"),)
    newcomer = Candidate("cg-new", "cg", versions=newer)
    assert source(*ALL, newcomer) is Source.TUNED
    assert select(PROBLEM, (*ALL, newcomer), Settings(), TUNED, may_measure=False).source is Source.RECORD
    assert source(replace(DENSE, versions=newer), HOIST, HOST) is Source.RECORD
    assert source(DENSE, replace(HOIST, versions=newer), HOST) is Source.TUNED
    assert source(DENSE, HOIST, replace(HOST, versions=newer)) is Source.TUNED


def test_one_that_is_slower_in_part_does_not_follow_a_winner_that_is_excluded() -> None:
    refused = TUNED.with_entry(replace(TUNED.entry("cg-dense") or TUNED.entries[0], reasons=("TP171 0.50 times the host",)))
    assert choose("auto,!cg-hoist", TUNED) == Choice(("cg-dense", "e3nn"), Source.RECORD)
    assert choose("auto,!cg-hoist", refused).order[0] == "e3nn"


def test_a_record_without_a_winner_is_a_miss() -> None:
    assert choose("auto", record(None, e3nn=9.0)).measure
