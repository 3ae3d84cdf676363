"""The picture of `make demo`: how long a step takes, and how far forces are from stock's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {"stock": "#8a8f98", "stock, again": "#b4b8be", "auto, second run": "#1b7f5c"}
COLOURS |= {"cg-llvm": "#6a9f3c", "cg-hoist": "#3f6fb5", "cg-dense": "#c9803a"}
LABELS = {name: "auto" if name.startswith("auto") else name for name in COLOURS}


def draw(everything: dict[str, Any], path: Path) -> None:
    """A row for each model: seconds per step on the left, force differences on the right."""
    models = everything["models"]
    plt.rcParams |= {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False}
    figure, axes = plt.subplots(len(models), 2, figsize=(10, 2.9 * len(models) + 0.9), squeeze=False, layout="constrained")
    for (left, right), model in zip(axes, models, strict=True):
        _times(left, model)
        _forces(right, model)
    axes[-1][0].set_xlabel("seconds per MD step: each, and the median; times stock")
    axes[-1][1].set_xlabel("largest force difference from stock (eV/Å)")
    where = everything["machine"]
    versions = ", ".join(f"{name} {where['versions'][name]}" for name in ("tpregistry", "torch", "e3nn", "sevenn"))
    figure.supxlabel(f"{where['cpu']}, {where['threads']} threads; {versions}", fontsize=8, color="#666666")
    figure.savefig(path, dpi=160)
    plt.close(figure)


def _times(axis: Any, model: dict[str, Any]) -> None:
    names = [name for name in LABELS if name in model["runs"]]
    top = max(max(model["runs"][name]["step_seconds"]) for name in names)
    for place, name in enumerate(names):
        run, colour = model["runs"][name], COLOURS[name]
        spread = place + np.linspace(-0.18, 0.18, len(run["step_seconds"]))
        axis.barh(place, run["step_median_seconds"], height=0.62, color=colour, alpha=0.35)
        axis.scatter(run["step_seconds"], spread, s=9, color=colour, zorder=3, linewidths=0)
        if name != "stock":
            axis.text(1.02 * top, place, f"{run['ratio']:.2f}×", va="center", color=colour, fontweight="bold")
    _rows(axis, [LABELS[name] for name in names])
    axis.set_xlim(0, 1.2 * top)
    axis.set_title(f"{model['model']}, {model['atoms']} atoms", loc="left", fontweight="bold")


def _forces(axis: Any, model: dict[str, Any]) -> None:
    names = [name for name in LABELS if name in model["runs"] and not name.startswith("stock")]
    error, bound = model["stock_force_error"], model["force_bound"]
    axis.axvspan(1e-12, error, color="#8a8f98", alpha=0.13, linewidth=0)
    axis.axvline(bound, color="#b03030", linewidth=1, linestyle="--")
    smallest = error / 100
    for place, name in enumerate(names):
        difference = model["runs"][name]["force_difference"]
        axis.hlines(place, smallest, max(difference, smallest), color=COLOURS[name], linewidth=2, alpha=0.5)
        axis.scatter([max(difference, smallest)], [place], s=46, color=COLOURS[name], zorder=3)
        axis.annotate(
            f"{difference:.0e}" if difference else "identical",
            (max(difference, smallest), place),
            (6, 6),
            textcoords="offset points",
        )
    _rows(axis, [LABELS[name] for name in names])
    axis.set_xscale("log")
    axis.set_xlim(smallest / 1.5, 3 * bound)
    axis.set_title("grey: stock's own error (to float64); red: allowed", loc="right", fontsize=9, color="#666666")


def _rows(axis: Any, labels: Any) -> None:
    labels = list(labels)
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", alpha=0.25)
