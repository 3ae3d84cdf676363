"""What is known of a problem here and now, as plain data: the decision that is due, the record, every candidate."""

from __future__ import annotations

from typing import Any

from tpregistry.cli.checks.setup import values_of
from tpregistry.cli.list_backends import as_json
from tpregistry.many_body import links
from tpregistry.plan import plan_tensor_product
from tpregistry.resolution import Resolution
from tpregistry.select import Candidate, Choice, Source
from tpregistry.settings import Settings
from tpregistry.store import Entry, Outcome, Record
from tpregistry.tune.interval import interval
from tpregistry.tune.race import MARGIN


def of(resolution: Resolution) -> dict[str, Any]:
    """The explanation of one problem."""
    problem, record = resolution.problem, resolution.record
    return {
        "text": str(problem),
        "digest": problem.digest,
        "problem": problem.to_json(),
        "weights": problem.weight_numel,
        "device": resolution.device,
        "host": resolution.host.name,
        "decision": decision(resolution),
        "record": of_record(record) if record else None,
        "candidates": sorted((of_candidate(c, record) for c in resolution.candidates), key=rank),
    }


def generated(resolution: Resolution) -> dict[str, Any]:
    """The plan, and the code of every able backend that generates any: ``sources[backend][order]``."""
    problem, sources = resolution.problem, {}
    for candidate in resolution.candidates:
        if candidate.ok and not candidate.host:
            sources |= _sources(resolution, candidate.name)
    plans = [plan_tensor_product(part) for part in (links(problem) if problem.correlation else (problem,))]
    return {"plan": "\n".join(map(str, plans)), "sources": sources}


def _sources(resolution: Resolution, name: str) -> dict[str, dict[str, str]]:
    try:
        write = getattr(resolution.build(name), "sources", None)
        return {name: write(resolution.problem.derivatives)} if write else {}
    except (Exception, SystemExit) as error:  # a plugin may raise anything; the others are shown
        return {name: {"nothing": f"raised {type(error).__name__}: {error}"}}


def settings_chain(settings: Settings) -> dict[str, Any]:
    """Each setting's value and source, and what lost against it."""
    values = {variable: {"value": value, "source": source} for variable, value, source in values_of(settings)}
    return {"values": values, "shadowed": list(settings.shadowed)}


def decision(resolution: Resolution) -> dict[str, Any]:
    """What would be bound now without measuring, why, and what a program would measure first."""
    choice, asked = (resolution.foresee(may_measure=may) for may in (False, resolution.frame.may_measure()))
    return _decided(resolution, choice, _why(resolution, choice), asked.order if asked.measure else ())


def _decided(resolution: Resolution, choice: Choice, why: str, measured: tuple[str, ...]) -> dict[str, Any]:
    chosen = choice.order[0] if choice.order else None
    ratio = resolution.record.ratio(chosen) if resolution.record and chosen else None
    first = [name for name in measured if name != resolution.host.name]
    return {"backend": chosen, "source": choice.source.value, "why": why, "ratio": ratio, "would_measure": first}


def _why(resolution: Resolution, choice: Choice) -> str:
    """The rule of `select` that led here, in words."""
    text, name = resolution.settings.backend.text, resolution.host.name
    if not choice.order:
        ends = {"error": "an error (TP_FALLBACK=error)", "warn": f"a warning, and {name} runs", "host": f"{name} runs"}
        return f"TP_BACKEND={text} cannot do it: {ends[resolution.settings.fallback.value]}"
    reasons = {
        Source.OFF: "TP_BACKEND=off",
        Source.RULE: "it only scales copies by scalars: never worth a kernel",
        Source.RECORD: _by_record(resolution, choice, resolution.record) if resolution.record else "",
        Source.FORCED: f"TP_BACKEND={text} asks for it; it is checked before it is used",
        Source.PREFERENCE: f"the first in TP_BACKEND={text} that can do it",
        Source.HEURISTIC: f"{_no_record(resolution)}, and nothing unmeasured is preferred to {name}",
    }
    return reasons.get(choice.source, "")


def _by_record(resolution: Resolution, choice: Choice, record: Record) -> str:
    """What the record shows of the chosen backend, and what it leaves open."""
    host = resolution.host.name
    if choice.order[:1] != (record.winner,):
        shown = f"the next on record, as its winner {record.winner} is excluded"
    elif record.winner == host:
        shown = f"no backend is shown to be faster by more than {MARGIN:.0%}"
    else:
        shown = f"the fastest on record, and faster than {host} beyond doubt"
    return "; ".join([shown, *resolution.unsettled(record)])


def _no_record(resolution: Resolution) -> str:
    if resolution.record is None:
        return "there is no record"
    if resolution.settings.tune.value == "force":
        return "TP_TUNE=force sets the record aside"
    return "the record holds no winner that is here in the measured versions"


def of_record(record: Record) -> dict[str, Any]:
    """When, where and by what a record was made."""
    kept = {name: getattr(record, name) for name in ("created", "seconds", "batch", "winner", "host", "environment")}
    return kept | {"tpregistry": record.tpregistry}


def of_candidate(candidate: Candidate, record: Record | None) -> dict[str, Any]:
    """A backend's verdict, and what a record holds of it."""
    entry = record.entry(candidate.name) if record else None
    return {
        "name": candidate.name,
        "family": candidate.family,
        "state": state(candidate, entry),
        "supported": candidate.ok,
        "host": candidate.host,
        "reasons": [as_json(reason) for reason in candidate.reasons],
        "on_request": candidate.on_request,
        "estimated_build_seconds": candidate.build_seconds,
        "versions": dict(candidate.versions),
        "ratio": record.ratio(candidate.name) if record else None,
        "interval": _interval(candidate.name, record) if record else None,
        "measured": _entry(entry) if entry else None,
    }


def _interval(name: str, record: Record) -> list[float] | None:
    """How many times faster than the host, with 95 % confidence; None where that is not known."""
    ours, host = record.entry(name), record.entry(record.host)
    if name == record.host or not (ours and host and len(ours.timed_us) > 1 and host.timed_us):
        return None
    return list(interval(host.samples_us, ours.samples_us))


def state(candidate: Candidate, entry: Entry | None) -> str:
    """A word or two for where a candidate stands: host, unsupported, on request, not measured yet, stale, or its outcome."""
    if candidate.host:
        return "host"
    if not candidate.ok:
        return "unsupported"
    if entry is None or entry.outcome is Outcome.UNSUPPORTED:
        return "on request" if candidate.on_request else "not measured yet"
    return entry.outcome.value if entry.versions == dict(candidate.versions) else "stale"


def _entry(entry: Entry) -> dict[str, Any]:
    worst, share = entry.worst or (None, None)
    return {
        "outcome": entry.outcome.value,
        "engine": entry.engine,
        "reasons": list(entry.reasons),
        "checks": len(entry.evidence),
        "worst_check": worst,
        "worst_share": share,
        "evidence": entry.evidence,
        "median_us": entry.median_us,
        "samples": len(entry.timed_us),
        "build_seconds": entry.build_seconds,
        "versions": entry.versions,
    }


def rank(candidate: dict[str, Any]) -> tuple[bool, float, str]:
    """Supported ones first, fastest first."""
    return not candidate["supported"], -(candidate["ratio"] or 0.0), candidate["name"]
