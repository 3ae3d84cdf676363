"""Sums over lanes of many numbers at once: what gradients of a b that all channels share end in.

Each by itself, n numbers take n trees, and in every level of a tree each thread works for one number that others have too. Here
lanes are halved and numbers doubled at the same time: of two numbers, one half of the lanes goes on with the sum of the first,
the other with that of the second. So n numbers take little more than one tree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import reduce

from tpregistry_cg.triton.passes import Target, Written
from tpregistry_cg.triton.text import ZERO
from tpregistry_cg.triton.tile import Tile, power

THREADS = 32
"""Of a warp."""


def held(tile: Tile, lanes: int) -> int:
    """How many channels of a sample one thread has: they lie far apart."""
    return max(1, power(lanes) // (THREADS * tile.form.warps))


def within_threads(tile: Tile, value: str, lanes: int) -> str:
    """The sum of what one thread has of a number."""
    count = held(tile, lanes)
    if count == 1 or value == ZERO:
        return value
    whole = f"tl.sum(tl.reshape({value}, [{tile.samples}, {count}, {power(lanes) // count}]), 1)"
    return tile.text.let(f"tl.ravel({whole})")


def store_totals(tile: Tile, spread: dict[Target, dict[int, list[str]]], written: Written) -> None:
    """Sum over threads, and store what lies side by side in a row at once.

    ``spread`` has what each thread holds of the components of a target, for every number of lanes that blocks have.
    """
    rows: dict[tuple[str, bool], dict[int, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    for target, widths in spread.items():
        for lanes, values in widths.items():
            for j, value in enumerate(values):
                rows[target.operand, written.adds(target)][target.start + j][lanes] = value
    for (operand, adds), places in rows.items():
        fewest = min(power(lanes) for widths in places.values() for lanes in widths)
        for run in _runs(sorted(places), min(fewest, THREADS)):
            tile.store_row(operand, run[0], len(run), _sum(tile, [places[place] for place in run]), adds)


def _runs(places: list[int], most: int) -> Iterator[list[int]]:
    """Places that follow one another, so many at most."""
    while places:
        count = next((n for n, place in enumerate(places[:most]) if place != places[0] + n), min(most, len(places)))
        yield places[:count]
        places = places[count:]


def _sum(tile: Tile, numbers: list[dict[int, str]]) -> str:
    """A value [samples, as many numbers as the power of two]."""
    numbers = numbers + [{}] * (power(len(numbers)) - len(numbers))
    widths = dict.fromkeys(lanes for values in numbers for lanes in values)
    return reduce(tile.text.add, (_totals(tile, [values.get(lanes, ZERO) for values in numbers], lanes) for lanes in widths))


def _totals(tile: Tile, numbers: list[str], lanes: int) -> str:
    width, together = power(lanes) // held(tile, lanes), 1
    zero = tile.once(("zero", tile.samples * width), f"tl.zeros([{tile.samples * width}], tl.{tile.real})")
    rest = [zero if value == ZERO else value for value in numbers]
    while len(rest) > 1:
        half = len(rest) // 2
        width, together = width // 2, together * 2
        rest = [_halved(tile, *pair, tile.samples * width, together) for pair in zip(rest[:half], rest[half:], strict=True)]
    return tile.text.let(f"tl.sum(tl.reshape({rest[0]}, [{tile.samples}, {width}, {together}]), 1)")


def _halved(tile: Tile, first: str, second: str, lanes: int, together: int) -> str:
    """Lanes two by two: the first of each goes on with ``first``, the other with ``second``."""
    four = tile.text.let(f"tl.reshape(tl.join({first}, {second}), [{lanes}, 2, {together // 2}, 2])")
    tile.text.do(f"even, odd = tl.split(tl.permute({four}, [0, 2, 3, 1]))")
    return tile.text.let(f"tl.reshape(even + odd, [{lanes * together}])")
