"""`tradeoff` at work: a problem per product, its measures, and its backends timed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tpregistry import api, expressivity, products
from tpregistry.cli import output
from tpregistry.cli.comparison import compared
from tpregistry.cli.output import Cell
from tpregistry.cli.subjects import SubjectError
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.problem import Mode, Problem
from tpregistry.tune import Comparison

SCHEMA = "tpregistry.tradeoff/1"
PATTERNS = ("forward", "with gradients")


@dataclass(frozen=True)
class Asked:
    """What to compare, and how."""

    in1: str
    in2: str
    out: str | None
    channels: int
    batch: int
    dtype: str
    rounds: int
    device: str


def run(asked: Asked, plot: Path | None, *, json: bool) -> int:
    """Measure, print, draw, and give the exit code."""
    found = problems(asked)
    rows = [_measured(name, problem, found["Clebsch-Gordan"], asked) for name, problem in found.items()]
    if json:
        output.print_json(SCHEMA, {"asked": vars(asked), "products": rows})
    else:
        _print(rows, asked)
    if plot is not None:
        from tpregistry.cli.tradeoff_plot import draw

        draw(rows, plot, f"{asked.in1} x {asked.in2}, {asked.channels} channels, {asked.batch:,} samples, {asked.dtype}")
        output.note(f"drawn: {plot}")
    return 0


def problems(asked: Asked) -> dict[str, Problem]:
    """Every product that does anything on the irreps. Raises SubjectError where they cannot be read."""
    try:
        in1, in2 = (_signal(text, asked.channels) for text in (asked.in1, asked.in2))
        out = _signal(asked.out, asked.channels) if asked.out else _reached(in1, in2)
        whole = problem_from_irreps(str(in1), str(in2), str(out), Mode.UUU, shared_weights=True, dtype=asked.dtype)
    except ValueError as error:
        raise SubjectError(str(error)) from None
    fields = [products.vector_fields(rep) for rep in (in1, in2, out)]
    found = {
        "Clebsch-Gordan": whole,
        "Gaunt": products.gaunt(in1, in2, out, dtype=asked.dtype),
        "curl": products.curl(in1, in2, out, dtype=asked.dtype),
        "matrix": products.matrix_product(in1, in2, out, dtype=asked.dtype),
        "vector signal": products.vector_signal(fields[0], fields[1], fields[2], dtype=asked.dtype),
    }
    return {name: problem.at(derivatives=1) for name, problem in found.items() if problem.paths}


def _signal(text: str, channels: int) -> Irreps:
    """Irreps as written, each once, in so many copies."""
    kinds = [(item.l, item.p) for item in Irreps.parse(text)]
    if len(set(kinds)) < len(kinds) or not kinds:
        raise ValueError(f"{text!r}: name each irrep once; --channels says how many copies there are")
    return Irreps(tuple(MulIrrep(channels, l, p) for l, p in kinds))


def _reached(in1: Irreps, in2: Irreps) -> Irreps:
    every = {(l, x.p * y.p) for x in in1 for y in in2 for l in range(abs(x.l - y.l), x.l + y.l + 1)}
    return Irreps(tuple(MulIrrep(in1[0].mul, l, p) for l, p in sorted(every)))


def _measured(name: str, problem: Problem, whole: Problem, asked: Asked) -> dict[str, Any]:
    (resolution,) = api.explain([problem], batch=asked.batch, derivatives=1, device=asked.device)
    found = compared(resolution, asked.batch, asked.rounds, hopeless=False)
    wanted = {*expressivity.triples_of(whole)}
    interacting = wanted & {*expressivity.triples_of(problem)}
    times = {entry.backend: _times(found, entry.backend) for entry in found.entries}
    return {
        "product": name,
        "operation": problem.operation,
        "expressivity": expressivity.of_problem(problem),
        "interactions": len(interacting),
        "missing": sorted(wanted - interacting),
        "backends": {name: timed for name, timed in times.items() if timed},
    }


def _times(found: Comparison, backend: str) -> dict[str, float]:
    """Median µs of a call by pattern."""
    timings = {pattern: found.timing(pattern, backend) for pattern in PATTERNS}
    return {pattern: timing.median_us for pattern, timing in timings.items() if timing is not None}


def _print(rows: list[dict[str, Any]], asked: Asked) -> None:
    title = f"{asked.in1} x {asked.in2} -> {asked.out or 'all'}"
    output.print_heading(title, f"{asked.channels} channels, {asked.batch:,} samples, {asked.dtype}, {asked.device}")
    header = ("product", "expressivity", "interactions", *(part for p in PATTERNS for part in (p, "per map", "by")))
    output.print_rows([_row(row) for row in rows], header, numbers=range(1, len(header)))
    for row in rows:
        if row["missing"]:
            few = ", ".join(row["missing"][:4]) + (f" and {len(row['missing']) - 4} more" if len(row["missing"]) > 4 else "")
            output.print_line(Cell(f"  {row['product']} lacks ", output.STRONG), few)


def _row(row: dict[str, Any]) -> list[Cell | str]:
    cells: list[Cell | str] = [Cell(row["product"], output.STRONG), str(row["expressivity"]), str(row["interactions"])]
    for pattern in PATTERNS:
        backend, micros = fastest(row, pattern)
        cells += [f"{micros:,.1f} µs", f"{micros / row['expressivity']:,.1f} µs", backend]
    return cells


def fastest(row: dict[str, Any], pattern: str) -> tuple[str, float]:
    """The backend with the least median of a pattern."""
    return min(((name, times[pattern]) for name, times in row["backends"].items()), key=lambda pair: pair[1])
