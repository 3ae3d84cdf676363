"""The picture of `kernels.py`: how many times faster than the better of e3nn's modes, product by product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {"forward": "#1b7f5c", "backward": "#3f6fb5", "force": "#c9803a"}
HOSTS = ("e3nn script", "e3nn eager")


def draw(everything: dict[str, Any], path: Path, backend: str = "cg-llvm") -> None:
    """A panel for each dtype and batch; a group of bars for each product."""
    rows = [row for row in everything["rows"] if backend in row["seconds"]]
    panels = list(dict.fromkeys((row["dtype"], row["batch"]) for row in rows))
    if not panels:
        return
    plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False}
    names = list(dict.fromkeys(row["problem"] for row in rows))
    size = (3.4 * len(panels) + 2.2, 0.42 * len(names) + 1.3)
    figure, axes = plt.subplots(1, len(panels), figsize=size, squeeze=False, sharey=True, layout="constrained")
    for axis, panel in zip(axes[0], panels, strict=True):
        _panel(axis, [row for row in rows if (row["dtype"], row["batch"]) == panel], names, backend)
        axis.set_title(f"{panel[0]}, {panel[1]} samples", loc="left", fontweight="bold")
    axes[0][0].set_yticks(range(len(names)), names)
    axes[0][0].invert_yaxis()
    axes[0][-1].legend(loc="lower right", frameon=False)
    where = everything["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    threads = f", {where['threads']} threads" if "threads" in where else ""
    figure.supxlabel(
        f"times faster than the better of e3nn's modes ({backend})\n{where['device']}{threads}; {versions}",
        fontsize=8,
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _panel(axis: Any, rows: list[dict[str, Any]], names: list[str], backend: str) -> None:
    for offset, (pattern, colour) in zip((-0.26, 0, 0.26), COLOURS.items(), strict=True):
        found = {row["problem"]: row["seconds"] for row in rows if row["pattern"] == pattern}
        ratios = [min(found[n][host] for host in HOSTS) / found[n][backend] if n in found else 0 for n in names]
        axis.barh([place + offset for place in range(len(names))], ratios, height=0.24, color=colour, label=pattern)
    axis.axvline(1, color="#b03030", linewidth=1, linestyle="--")
    axis.set_xscale("log")
    axis.set_xlim(0.2, 50)
    axis.set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", alpha=0.25)
