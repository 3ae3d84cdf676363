"""The microbenchmarks for people: tables beside what was published, and who is ahead from where on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from microbenchmarks_published import published
from rich.console import Console
from rich.table import Table

Times = Mapping[int, float]
"""Milliseconds by degree."""

MARGIN = 1.05
"""By what one has to be faster to be called ahead: less is noise."""


@dataclass
class Row:
    """One backend on one case: median milliseconds of each pattern, and what the first call took with all preparation."""

    setting: str
    degree: int
    product: str
    backend: str
    expressivity: int
    paths: int
    points: int
    prepare_seconds: float
    milliseconds: dict[str, float]
    spread: dict[str, float]

    @property
    def jitted(self) -> bool:
        """By JAX, in which Gaunt's product alone is measured: its calls cost less than torch's, whatever they do."""
        return "jax" in self.backend.lower()

    @property
    def name(self) -> str:
        """Product and backend."""
        return f"{self.product}: {self.backend}"


def time(row: Row, pattern: str) -> str:
    """Milliseconds, flagged where the standard deviation is over a fifth of the mean."""
    return f"{row.milliseconds[pattern]:.2f}{'~' if row.spread[pattern] > 0.2 else ''}" if pattern in row.milliseconds else ""


def show(rows: Sequence[Row], patterns: Sequence[str], samples: int) -> None:
    """Every row; the forward beside what was published; then sentences."""
    console = Console(width=180)
    console.print(_all(rows, patterns, samples))
    if "forward" in patterns:
        console.print(_beside(rows))
    for pattern in patterns:
        for sentence in sentences([row for row in rows if not row.jitted], pattern):
            console.print(sentence)
    for device, forms in published(rows[0].setting).items():
        for sentence in _ahead_of(forms, "Clebsch-Gordan, dense", f"published, forward, {device}"):
            console.print(sentence)


def _all(rows: Sequence[Row], patterns: Sequence[str], samples: int) -> Table:
    table = Table(title=f"{rows[0].setting}, {samples:,} samples, one channel, float32, milliseconds")
    texts = ("product", "backend")
    for header in ("L", *texts, "expressivity", "points", "first call s", *patterns, "forward / expressivity, µs"):
        table.add_column(header, justify="left" if header in texts else "right")
    for row in rows:
        each = f"{1e3 * row.milliseconds['forward'] / row.expressivity:.1f}" if "forward" in row.milliseconds else ""
        about = (
            str(row.degree),
            row.product,
            row.backend,
            str(row.expressivity),
            str(row.points or ""),
            f"{row.prepare_seconds:.2f}",
        )
        table.add_row(*about, *(time(row, pattern) for pattern in patterns), each)
    return table


def _beside(rows: Sequence[Row]) -> Table:
    """A line per backend, and per form and device of the paper."""
    degrees = sorted({row.degree for row in rows})
    table = Table(title=f"{rows[0].setting}, forward, milliseconds, beside The Price of Freedom (microbenchmarks_published.py)")
    for header in ("", *(f"L = {degree}" for degree in degrees)):
        table.add_column(header, justify="right" if header else "left")
    for name, times in by_name(rows, "forward").items():
        table.add_row(name, *(f"{times[degree]:.2f}" if degree in times else "" for degree in degrees))
    for device, forms in published(rows[0].setting).items():
        table.add_section()
        for form, times in forms.items():
            table.add_row(f"published, {device}: {form}", *(f"{times[degree]:g}" if degree in times else "" for degree in degrees))
    return table


def by_name(rows: Sequence[Row], pattern: str) -> dict[str, dict[int, float]]:
    """Times of each backend of each product."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if pattern in row.milliseconds:
            found.setdefault(row.name, {})[row.degree] = row.milliseconds[pattern]
    return found


def crossover(ours: Times, theirs: Times) -> int | None:
    """The degree from which on ``ours`` is faster by MARGIN at all degrees that both have; None where it is not at the last."""
    ahead: int | None = None
    for degree in sorted(set(ours) & set(theirs), reverse=True):
        if MARGIN * ours[degree] > theirs[degree]:
            break
        ahead = degree
    return ahead


def sentences(rows: Sequence[Row], pattern: str) -> Iterator[str]:
    """From which degree on a product's best backend is ahead of Clebsch-Gordan's, also per expressivity; who is best at each."""
    products = dict.fromkeys(row.product for row in rows if pattern in row.milliseconds)
    best = {
        product: _best([row for row in rows if row.product == product and pattern in row.milliseconds], pattern)
        for product in products
    }
    times = {product: {degree: row.milliseconds[pattern] for degree, row in found.items()} for product, found in best.items()}
    each = {
        product: {degree: row.milliseconds[pattern] / row.expressivity for degree, row in found.items()}
        for product, found in best.items()
    }
    for product, found in best.items():
        yield f"{pattern}, {product}, fastest: " + ", ".join(f"L = {degree} {row.backend}" for degree, row in sorted(found.items()))
    yield from _ahead_of(times, "Clebsch-Gordan", pattern)
    yield from _ahead_of(each, "Clebsch-Gordan", f"{pattern} per expressivity")


def _best(rows: Sequence[Row], pattern: str) -> dict[int, Row]:
    """The fastest row of each degree."""
    return {row.degree: row for row in sorted(rows, key=lambda row: -row.milliseconds[pattern])}


def _ahead_of(times: Mapping[str, Times], standard: str, what: str) -> Iterator[str]:
    for name in times:
        common = sorted(set(times[name]) & set(times.get(standard, {})))
        if name != standard and common:
            start = crossover(times[name], times[standard])
            from_on = (
                f"ahead of {standard} from L = {start} on" if start is not None else f"not ahead of {standard} at L = {common[-1]}"
            )
            yield f"{what}: {name} is {from_on} (L = {common[0]} to {common[-1]})"
