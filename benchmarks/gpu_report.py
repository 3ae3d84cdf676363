"""The README's section on a GPU, written from what `gpu.sh` measured there: no figure is typed by hand.

    python benchmarks/gpu_report.py benchmarks/results/nvidia-h100-80gb-hbm3                    prints it
    python benchmarks/gpu_report.py benchmarks/results/nvidia-h100-80gb-hbm3 --readme README.md  puts it between the marks there

The marks are lines ``<!-- gpu -->`` and ``<!-- /gpu -->``. Ratios are to the better of e3nn's modes, geometric means.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from math import exp, log
from pathlib import Path
from typing import Any

HOSTS = ("e3nn script", "e3nn eager")
PATTERNS = {"forward": "forward", "backward": "with gradients", "force": "force pattern"}
BEGIN, END = "<!-- gpu -->", "<!-- /gpu -->"
Found = dict[str, dict[str, Any]]


def read(folder: Path) -> Found:
    """Every result file by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def section(found: Found) -> str:
    """Markdown: the machine, products, convolutions, models, what the tuner missed. Raises ValueError where there is nothing."""
    if not found:
        raise ValueError("no results: run benchmarks/gpu.sh first")
    where = next(iter(found.values()))["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    lines = [f"**{where['device']}** (`benchmarks/gpu.sh`; {versions})"]
    for name, result in found.items():
        lines += ["", *(model(result) if "steps" in result else contest(name, result))]
    return "\n".join([*lines, ""])


def contest(name: str, result: dict[str, Any]) -> Iterator[str]:
    """Contestants by pattern, what part of a copy's speed the best reaches, and the tuner's regret."""
    rows = result["rows"]
    if not rows:
        yield f"`{name}`: nothing was measured within the time given."
        return
    products = len({(row["problem"], row.get("crystal")) for row in rows})
    yield f"`{name}`: {products} products; times faster than e3nn, geometric mean (number of products):"
    yield ""
    yield "| | " + " | ".join(PATTERNS.values()) + " |"
    yield "|---" * (len(PATTERNS) + 1) + "|"
    for contestant in dict.fromkeys(n for row in rows for n in row["seconds"] if n not in HOSTS):
        yield f"| {contestant} | " + " | ".join(cell(rows, contestant, pattern) for pattern in PATTERNS) + " |"
    yield from remarks(result)


def cell(rows: list[dict[str, Any]], contestant: str, pattern: str) -> str:
    """One contestant's mean ratio in one pattern."""
    chosen = [row["seconds"] for row in rows if row["pattern"] == pattern and contestant in row["seconds"]]
    ratios = [min(seconds[host] for host in HOSTS) / seconds[contestant] for seconds in chosen]
    return f"{mean(ratios):.2f} ({len(ratios)})" if ratios else "-"


def remarks(result: dict[str, Any]) -> Iterator[str]:
    """What a table does not say."""
    forward = [row for row in result["rows"] if row["pattern"] == "forward" and "floor_seconds" in row]
    if forward:
        shares = [row["floor_seconds"] / min(s for n, s in row["seconds"].items() if n not in HOSTS) for row in forward]
        yield f"\nForward, the best reaches {100 * mean(shares):.0f} % of the speed of a copy (least {100 * min(shares):.0f} %)."
    if result.get("regret"):
        yield f"`auto` took {result['regret']['mean']:.2f} times as long as the best (at most {result['regret']['most']:.2f})."
    for name, why in dict(pair for row in result["rows"] for pair in row.get("left_out", {}).items()).items():
        yield f"{name} did not take part everywhere: {why.splitlines()[0][:200]}"


def model(result: dict[str, Any]) -> Iterator[str]:
    """Steps of a whole model."""
    for name, rows in result["steps"].items():
        told = "; ".join(f"{request} {setting(row)}" for request, row in rows.items())
        yield f"{result['model']}, {result['atoms']} atoms, {name}: {told}."


def setting(row: dict[str, float]) -> str:
    """One setting of TP_BACKEND: median and times stock."""
    return f"{1e3 * row['seconds']:.1f} ms, {row['ratio']:.2f}x ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})"


def mean(values: list[float]) -> float:
    """Geometric."""
    return exp(sum(map(log, values)) / len(values))


def put_into(readme: Path, text: str) -> None:
    """Between the marks. Raises ValueError where they are missing."""
    before = readme.read_text()
    if BEGIN not in before or END not in before:
        raise ValueError(f"{readme} has no lines {BEGIN} and {END}")
    readme.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{text}{END}", before, flags=re.DOTALL))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readme", type=Path)
    args = parser.parse_args()
    text = section(read(args.folder))
    if args.readme:
        put_into(args.readme, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
