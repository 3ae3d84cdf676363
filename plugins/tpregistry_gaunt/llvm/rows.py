"""A block of rows (sample, channel): their components, which lie where irreps have them, to and from packed matrices."""

from __future__ import annotations

from collections.abc import Callable

from tpregistry.irreps import Irreps
from tpregistry.native.lanes import chunks
from tpregistry.native.matmul import ROWS
from tpregistry.native.text import Text

Piece = tuple[str, int]
"""An address, and how many numbers lie there."""


class Rows:
    """ROWS of them from ``first`` on; those beyond the ``last`` are that one again."""

    def __init__(self, text: Text, first: str, last: str, channels: int, widest: int) -> None:
        self._text, self._first, self._last, self._channels, self._widest = text, first, last, channels, widest

    def gather(self, operand: int, irreps: Irreps, members: list[int], packed: str, length: int) -> None:
        """Components of some irreps of operand number ``operand``, side by side in rows of a ``length``."""
        self._move(operand, irreps, members, packed, length, lambda piece, place, size: self._copy(piece, place, size))

    def scatter(self, operand: int, irreps: Irreps, members: list[int], packed: str, length: int) -> None:
        """Inverse of `gather`."""
        self._move(operand, irreps, members, packed, length, lambda piece, place, size: self._copy(place, piece, size))

    def clear(self, operand: int, irreps: Irreps, members: list[int]) -> None:
        """Zeros for some irreps."""
        self._each(lambda r, row: [self._clear(address, size) for address, size in self._pieces(operand, irreps, members, row)])

    def blank(self, operand: int, share: int) -> None:
        """Zeros everywhere: ``share`` numbers are each channel's."""
        self._each(lambda r, row: self._clear(self._at(operand, row[0], self._text.index(row[1], share)), share))

    def _move(
        self, operand: int, irreps: Irreps, members: list[int], packed: str, length: int, copy: Callable[[str, str, int], None]
    ) -> None:
        def turn(r: str, row: tuple[str, str]) -> None:
            line, offset = self._text.at(packed, self._text.index(r, length)), 0
            for address, size in self._pieces(operand, irreps, members, row):
                copy(address, self._text.at(line, str(offset)), size)
                offset += size

        self._each(turn)

    def _each(self, body: Callable[[str, tuple[str, str]], object]) -> None:
        def turn(r: str, _: list[str]) -> list[str]:
            body(r, self._row(r))
            return []

        self._text.loop("0", str(ROWS), 1, turn)

    def _row(self, r: str) -> tuple[str, str]:
        """Sample and channel."""
        text = self._text
        wanted = text.let(f"add nsw i64 {self._first}, {r}")
        inside = text.let(f"icmp slt i64 {wanted}, {self._last}")
        row = text.let(f"select i1 {inside}, i64 {wanted}, i64 {self._last}")
        if self._channels == 1:
            return row, "0"
        return tuple(text.let(f"{how} i64 {row}, {self._channels}") for how in ("sdiv", "srem"))  # type: ignore[return-value]

    def _pieces(self, operand: int, irreps: Irreps, members: list[int], row: tuple[str, str]) -> list[Piece]:
        (sample, channel), sizes = row, {n: 2 * irreps[n].l + 1 for n in members}
        places = {n: self._text.index(channel, size, irreps.offsets[n]) for n, size in sizes.items()}
        return [(self._at(operand, sample, places[n]), size) for n, size in sizes.items()]

    def _at(self, operand: int, sample: str, place: str) -> str:
        start = self._text.at(f"%p{operand}", self._text.let(f"mul nsw i64 {sample}, %s{operand}"))
        return self._text.at(start, place)

    def _copy(self, source: str, target: str, count: int) -> None:
        for place, width in _vectors(count, self._widest):
            self._text.store(self._text.at(target, place), self._text.load(self._text.at(source, place), width), width)

    def _clear(self, target: str, count: int) -> None:
        for place, width in _vectors(count, self._widest):
            self._text.store(self._text.at(target, place), self._text.constants(0.0, width), width)


def _vectors(count: int, widest: int) -> list[tuple[str, int]]:
    return [(str(c), width) for first, stop, width in chunks(count, widest) for c in range(first, stop, width)]
