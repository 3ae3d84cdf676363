"""An explanation, written for a reader."""

from __future__ import annotations

import math
from typing import Any

from tpregistry.cli import output
from tpregistry.cli.output import Cell

SHADES = {"ok": output.GOOD, "host": "", "wrong": output.BAD, "raised": output.BAD}


def print_problem(one: dict[str, Any]) -> None:
    """What it is, what would run, what is on record, and every candidate."""
    output.print_heading(one["text"])
    rows = [[Cell("weights", output.QUIET), _weights(one)], [Cell("digest", output.QUIET), one["digest"]]]
    rows.append([Cell("versions", output.QUIET), _versions(one["candidates"])])
    output.print_rows([*rows, *_decision(one["decision"]), *record_rows(one["record"])])
    output.print_line("")
    print_candidates(one["candidates"], one["decision"]["backend"])
    if "plan" in one:
        _print_generated(one)


def _print_generated(one: dict[str, Any]) -> None:
    output.print_heading("Plan")
    output.print_line(one["plan"])
    for backend, sources in one["sources"].items():
        for order, text in sources.items():
            output.print_heading(f"{backend}, {order}")
            output.print_line(text)


def _weights(one: dict[str, Any]) -> str:
    return f"{one['weights']}, {'shared' if one['problem']['shared_weights'] else 'per sample'}"


def _versions(candidates: list[dict[str, Any]]) -> str:
    """Of everything that some candidate's measurements depend on."""
    every = {name: version for candidate in candidates for name, version in candidate["versions"].items()}
    return ", ".join(f"{name} {version}" for name, version in sorted(every.items()))


def _decision(due: dict[str, Any]) -> list[list[Cell | str]]:
    chosen = due["backend"] or "none"
    faster = f" {due['ratio']:.2f}x" if due["ratio"] else ""
    rows: list[list[Cell | str]] = [[Cell("now", output.QUIET), f"{chosen}{faster} [{due['source']}]: {due['why']}"]]
    if due["would_measure"]:
        rows.append([Cell("", output.QUIET), f"a program would first measure {', '.join(due['would_measure'])}"])
    return rows


def record_rows(record: dict[str, Any] | None) -> list[list[Cell | str]]:
    """When, where and by what a record was made."""
    if record is None:
        return [[Cell("record", output.QUIET), "none: `tpregistry autotune` makes one"]]
    where = ", ".join(f"{key} {value}" for key, value in record["environment"].items() if key not in ("host", "device"))
    what = f"{record['created']}, {record['batch']} samples, took {record['seconds']:.1f} s, by tpregistry {record['tpregistry']}"
    place = f"{record['environment'].get('device', '')} ({where})"
    return [[Cell("record", output.QUIET), what], [Cell("on", output.QUIET), place]]


def print_candidates(candidates: list[dict[str, Any]], chosen: str | None) -> None:
    """A row for each, and below the reasons against it."""
    header = ("backend", "verdict", "median", "vs host", "95 %", "error/allowed", "build", "engine")
    output.print_rows([_row(candidate, chosen) for candidate in candidates], header, numbers=(2, 3, 4, 6))
    for candidate in candidates:
        _print_reasons(candidate)


def _row(candidate: dict[str, Any], chosen: str | None) -> list[Cell | str]:
    seen, state = candidate["measured"] or {}, candidate["state"]
    name = Cell(candidate["name"], output.STRONG if candidate["name"] == chosen else "")
    ratio = f"{candidate['ratio']:.2f}x" if candidate["ratio"] else "-"
    verdict = Cell(state, SHADES.get(state, output.CAREFUL))
    within = _within(candidate["interval"])
    return [name, verdict, _median(seen), ratio, within, _worst(seen), _build(candidate), seen.get("engine") or "-"]


def _within(interval: list[float] | None) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else "-"


def _median(seen: dict[str, Any]) -> str:
    value = seen.get("median_us", math.inf)
    return f"{value:,.1f} µs" if math.isfinite(value) else "-"


def _worst(seen: dict[str, Any]) -> str:
    """How much of what is allowed the worst of all checks takes."""
    if seen.get("worst_share") is None:
        return "-"
    return f"{seen['worst_share']:.2f} ({seen['worst_check']})"


def _build(candidate: dict[str, Any]) -> str:
    if candidate["host"]:
        return "-"
    seen = candidate["measured"] or {}
    return f"{seen['build_seconds']:.2f} s" if seen.get("build_seconds") else f"~{candidate['estimated_build_seconds']:g} s"


def _print_reasons(candidate: dict[str, Any]) -> None:
    reasons = [(f"{r['code']} {r['message']}", r["hint"]) for r in candidate["reasons"]]
    if candidate["supported"]:
        reasons += [(reason, "") for reason in (candidate["measured"] or {}).get("reasons", ())]
    if candidate["state"] == "on request":
        reasons.append((candidate["on_request"], "name it in TP_BACKEND to use it"))
    if candidate["state"] == "stale":
        was = ", ".join(f"{name} {version}" for name, version in candidate["measured"]["versions"].items())
        reasons.append((f"measured with {was}", "run `tpregistry autotune`"))
    for text, hint in reasons:
        output.print_line(Cell(f"  {candidate['name']}: ", output.STRONG), text, Cell(f": {hint}" if hint else "", output.QUIET))


def print_settings(chain: dict[str, Any]) -> None:
    """Values with their sources, and what lost against them."""
    output.print_heading("Settings", "argument > environment > pyproject.toml")
    values = chain["values"].items()
    output.print_rows([[name, one["value"], Cell(one["source"], output.QUIET)] for name, one in values])
    for text in chain["shadowed"]:
        output.print_line(Cell(f"  shadowed: {text}", output.CAREFUL))
