"""Figures, from what the benchmarks kept in benchmarks/results, with the machine that they are of."""

from __future__ import annotations

import json
from typing import Any

from generate.markdown import code, table
from generate.source import ROOT

RESULTS = ROOT / "benchmarks" / "results"
PATTERNS = ("forward", "backward", "force")


def machine(name: str) -> str:
    """What the numbers of a file depend on."""
    said = _read(f"{name}.json")["machine"]
    versions = ", ".join(f"{library} {version}" for library, version in said["versions"].items())
    return f"{said.get('cpu') or said['device']}, {said['cores']} cores, {said['threads']} threads; {versions}."


def kernels() -> str:
    """Geometric mean and, in brackets, least ratio to e3nn's better mode, a row per backend, dtype and batch."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for path in sorted(RESULTS.glob("kernels*.json"), key=lambda path: (len(path.stem), path.stem)):
        for backend, groups in _read(path.name)["summary"].items():
            for group, found in groups.items():
                where, _, pattern = group.rpartition(" ")
                rows.setdefault((backend, where), {})[pattern] = f"{found['mean']:.1f} ({found['least']:.1f})"
    lines = [(code(backend), where, *(by[pattern] for pattern in PATTERNS)) for (backend, where), by in rows.items()]
    return table(("backend", "dtype and samples", *PATTERNS), lines)


def demo() -> str:
    """Whole MD steps of pretrained potentials, a row per run."""
    rows = [_row(model, name, run) for model in _read("demo.json")["models"] for name, run in model["runs"].items()]
    head = ("model", "TP_BACKEND", "largest force difference (allowed), eV/Å", "s/step", "times stock", "peak MiB", "tuning, s")
    return table(head, rows)


def _row(model: dict[str, Any], name: str, run: dict[str, Any]) -> tuple[str, ...]:
    compared, timed = "force_difference" in run and name != "stock", "ratio" in run
    difference = f"{run['force_difference']:.1e} ({model['force_bound']:.1e})" if compared else ""
    ratio = f"{run['ratio']:.2f} ({run['ratio_low']:.2f} to {run['ratio_high']:.2f})" if timed else ""
    pace = f"{run['step_median_seconds']:.2f}"
    return (model["model"], name, difference, pace, ratio, f"{run['peak_mib']:.0f}", f"{run['tuning_seconds']:.0f}")


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))
