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
from tpregistry.store.evidence import required

HOST = Candidate("e3nn", "e3nn", host=True, versions=(("e3nn", "0.6"),))
DENSE = Candidate("cg-dense", "cg", versions=(("tpregistry", "1"),))
HOIST = Candidate("cg-hoist", "cg", versions=(("tpregistry", "1"),))
UNABLE = Candidate("oeq", "oeq", reasons=(Reason("TP120", "no GPU"),))
ALL = (DENSE, HOIST, HOST, UNABLE)


def record(winner: str | None, **medians: float) -> Record:
    versions = {candidate.name.replace("-", "_"): dict(candidate.versions) for candidate in ALL}
    proof = {name: [1e-9, 1e-6] for name in required(PROBLEM)}
    entries = tuple(
        Entry(
            name.replace("_", "-"), Outcome.OK, versions[name], evidence={} if name == "e3nn" else proof, samples_us=(median,) * 11
        )
        for name, median in medians.items()
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


def test_scalings_are_measured_in_frameworks_whose_own_code_for_them_is_slow() -> None:
    scaling = PROBLEM.at(paths=(Path(0, 0, 0, Mode.UUU, True, 1.0),), irreps_in2=Irreps.parse("4x0e"))
    assert select(scaling, ALL, Settings(), None, may_measure=True, scalings=True).measure
    off = Settings(Request.parse("off"))
    assert select(scaling, ALL, off, None, may_measure=True, scalings=True) == Choice(("e3nn",), Source.OFF)


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


def _proven(**changes: object) -> Record:
    """The record with changes to its winner's entry."""
    (entry,) = (entry for entry in TUNED.entries if entry.backend == "cg-hoist")
    return replace(TUNED.with_entry(replace(entry, **changes)), winner="cg-hoist")  # type: ignore[arg-type]


def _with_host(**changes: object) -> Record:
    (entry,) = (entry for entry in TUNED.entries if entry.backend == "e3nn")
    return TUNED.with_entry(replace(entry, **changes))  # type: ignore[arg-type]


PROOF = {name: [1e-9, 1e-6] for name in required(PROBLEM)}
FLAWS = {
    "no evidence": _proven(evidence={}),
    "evidence of the forward alone": _proven(evidence={name: pair for name, pair in PROOF.items() if " d" not in name}),
    "a check less": _proven(evidence={name: pair for name, pair in PROOF.items() if name != "sliced dy"}),
    "an error of NaN": _proven(evidence=PROOF | {"main dw": [float("nan"), 1e-6]}),
    "an error above what is allowed": _proven(evidence=PROOF | {"main dw": [2e-6, 1e-6]}),
    "an endless error": _proven(evidence=PROOF | {"main dw": [float("inf"), float("inf")]}),
    "anything allowed": _proven(evidence=PROOF | {"main dw": [0.1, float("inf")]}),
    "an error below 0": _proven(evidence=PROOF | {"main dw": [-1.0, 1e-6]}),
    "a further check that failed": _proven(evidence=PROOF | {"bucket out": [1.0, 1e-6]}),
    "no samples": _proven(samples_us=()),
    "another outcome": _proven(outcome=Outcome.WRONG),
    "a crash": _proven(outcome=Outcome.RAISED),
    "a reason against": _proven(reasons=("TP171 0.50 times the host",)),
    "no entry of the host": replace(TUNED, entries=tuple(entry for entry in TUNED.entries if entry.backend != "e3nn")),
    "no samples of the host": _with_host(samples_us=()),
    "a host that was wrong": replace(_with_host(outcome=Outcome.WRONG), winner="e3nn"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_record_whose_winner_is_none_is_a_miss(flaw: str) -> None:
    assert choose("auto", FLAWS[flaw]).measure
    assert choose("auto", FLAWS[flaw], may_measure=False) == Choice(("e3nn",), Source.HEURISTIC)


def test_whole_evidence_is_none_of_these() -> None:
    assert choose("auto", _proven()) == Choice(("cg-hoist", "e3nn"), Source.RECORD)
    assert choose("auto", _proven(evidence=PROOF | {"bucket out": [0.0, 1e-6]})).source is Source.RECORD


def test_one_without_evidence_does_not_follow_a_winner_that_is_excluded() -> None:
    (dense,) = (entry for entry in TUNED.entries if entry.backend == "cg-dense")
    assert choose("auto,!cg-hoist", TUNED.with_entry(replace(dense, evidence={}))).order[0] == "e3nn"
