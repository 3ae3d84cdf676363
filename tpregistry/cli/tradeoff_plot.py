"""`tradeoff` as a picture: time against expressivity, one colour per product, one mark per backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tpregistry.errors import TPError

MARKS = "osD^vP*X<>"


def draw(rows: list[dict[str, Any]], path: Path, title: str) -> None:
    """Write the picture. Raises TPError without matplotlib, and where the file cannot be written."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise TPError("--plot needs matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    backends = sorted({name for row in rows for name in row["backends"]})
    for axes, pattern in zip(figure.subplots(1, 2, sharey=True), ("forward", "with gradients"), strict=True):
        for number, row in enumerate(rows):
            for name, times in row["backends"].items():
                axes.plot(row["expressivity"], times[pattern], MARKS[backends.index(name) % len(MARKS)], color=f"C{number}")
        axes.set(xlabel="expressivity (dimension of the bilinear maps)", title=pattern, yscale="log", xlim=(0, None))
        axes.grid(alpha=0.3, which="both")
    figure.axes[0].set_ylabel("median of a call, µs")
    for number, row in enumerate(rows):  # colours, then marks
        figure.axes[1].plot([], [], "s", color=f"C{number}", label=row["product"])
    for number, name in enumerate(backends):
        figure.axes[1].plot([], [], MARKS[number % len(MARKS)], color="0.4", label=name)
    figure.axes[1].legend(fontsize=8, bbox_to_anchor=(1.02, 1), loc="upper left")
    figure.suptitle(title, fontsize=10)
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise TPError(f"--plot {path}: {error}") from None
