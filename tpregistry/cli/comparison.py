"""`bench` at work: one comparison per problem, as a table and as data."""

from __future__ import annotations

from dataclasses import asdict
from math import inf
from typing import Any

from tpregistry import api
from tpregistry.cli import output
from tpregistry.cli.list_backends import as_json
from tpregistry.cli.output import Cell
from tpregistry.progress import Progress
from tpregistry.resolution import Resolution
from tpregistry.store import Entry
from tpregistry.tune import Bench, Comparison, compare

SCHEMA = "tpregistry.bench/1"
ONLY_HOST = 3


def run(subjects: list[Any], batch: int | None, derivatives: int | None, device: str, rounds: int, *, json: bool) -> int:
    """Compare, print, and give the exit code."""
    data = []
    for resolution in api.explain(subjects, batch=batch, derivatives=derivatives, device=device):
        data.append(describe(resolution, compared(resolution, batch or resolution.batch, rounds)))
        if not json:
            _print(data[-1])
    if json:
        output.print_json(SCHEMA, {"rounds": rounds, "problems": data})
    return 0 if all(any(one["patterns"] for one in problem["backends"][1:]) for problem in data) else ONLY_HOST


def compared(resolution: Resolution, batch: int, rounds: int, hopeless: bool = True) -> Comparison:
    """Every able backend against the host; those that say themselves that they cannot win only where asked."""
    wanted = (c for c in resolution.candidates if c.ok and not c.host and (hopeless or not c.on_request))
    able = [resolution.contestant(candidate.name) for candidate in wanted]
    with Progress(f"comparing on {resolution.problem}", resolution.settings) as progress:
        problem, host, frame = resolution.problem, resolution.host, resolution.frame
        bench = Bench(problem, host, frame, resolution.device, inf, batch, progress.show)
        return compare(bench, able, resolution.versions(host.name), rounds)


def describe(resolution: Resolution, found: Comparison) -> dict[str, Any]:
    """A comparison with what it depends on; backends that could not take part come with their reasons."""
    problem = resolution.problem
    about = {"text": str(problem), "digest": problem.digest, "problem": problem.to_json(), "environment": resolution.environment}
    unable = [candidate for candidate in resolution.candidates if not candidate.ok and not candidate.host]
    return about | {
        "batch": found.batch,
        "host": found.host,
        "backends": [_timed(entry, found) for entry in found.entries],
        "unsupported": [{"name": one.name, "reasons": [as_json(reason) for reason in one.reasons]} for one in unable],
    }


def _timed(entry: Entry, found: Comparison) -> dict[str, Any]:
    timings = {pattern: found.timing(pattern, entry.backend) for pattern in found.samples}
    patterns = {
        pattern: asdict(timing) | {"samples_us": found.samples[pattern][entry.backend]}
        for pattern, timing in timings.items()
        if timing is not None
    }
    said = {name: getattr(entry, name) for name in ("engine", "reasons", "build_seconds", "versions")}
    return {"name": entry.backend, "outcome": entry.outcome.value, "patterns": patterns} | said


def _print(one: dict[str, Any]) -> None:
    patterns = list(one["backends"][0]["patterns"])
    output.print_heading(one["text"], f"{one['batch']:,} samples on {one['environment'].get('device', '')}")
    header = ("backend", *(part for pattern in patterns for part in (pattern, "vs host")), "build and check")
    rows = [_row(backend, patterns, one["host"]) for backend in one["backends"]]
    output.print_rows(rows, header, numbers=range(1, len(header)))
    for backend in one["backends"]:
        for reason in backend["reasons"]:
            output.print_line(Cell(f"  {backend['name']}: ", output.STRONG), Cell(reason, output.BAD))
    for unable in one["unsupported"]:
        for reason in unable["reasons"]:
            text = f"{reason['code']} {reason['message']}"
            output.print_line(Cell(f"  {unable['name']}: ", output.STRONG), Cell(text, output.QUIET))


def _row(backend: dict[str, Any], patterns: list[str], host: str) -> list[Cell | str]:
    cells: list[Cell | str] = [Cell(backend["name"], output.STRONG)]
    for pattern in patterns:
        timing = backend["patterns"].get(pattern)
        median = f"{timing['median_us']:,.1f} µs" if timing else Cell(backend["outcome"], output.BAD)
        cells += [median, _ratio(timing) if timing and backend["name"] != host else "-"]
    built = backend["build_seconds"]
    return [*cells, f"{built:.2f} s" if built else "-"]


def _ratio(timing: dict[str, Any]) -> Cell:
    low, high = timing["interval"]
    shade = output.GOOD if low > 1 else output.CAREFUL if high < 1 else ""
    return Cell(f"{timing['ratio']:.2f}x ({low:.2f}-{high:.2f})", shade)
