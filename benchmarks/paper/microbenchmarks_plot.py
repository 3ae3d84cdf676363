"""The picture of the microbenchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from microbenchmarks_report import Row


def plot(rows: Sequence[Row], path: Path) -> None:
    """Time, and time per expressivity, by degree."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    for axes, divide in zip(figure.subplots(1, 2), (False, True), strict=True):
        for name in dict.fromkeys(row.name for row in rows):
            mine = [row for row in rows if row.name == name and "forward" in row.milliseconds]
            values = [row.milliseconds["forward"] / (row.expressivity if divide else 1) for row in mine]
            axes.plot([row.degree for row in mine], values, "o-", label=name, markersize=4)
        axes.set(xlabel="L", yscale="log", title="forward, ms" + (" per expressivity" if divide else ""))
        axes.grid(alpha=0.3, which="both")
    figure.axes[1].legend(fontsize=7, bbox_to_anchor=(1.02, 1), loc="upper left")
    figure.savefig(path, dpi=110)
