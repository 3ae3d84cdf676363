"""Matrix products of a few rows with constant tables, in registers: what products by values are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tpregistry.native.lanes import chunks
from tpregistry.native.text import Text

ROWS = 12
"""Rows of a block: tables are read once for each, values of all stay in the nearest caches."""

Factor = tuple[str, str, int]
"""Addresses of rows, and of a table (inner, columns), and the length of a row."""


def tile(widest: int, real: str) -> tuple[int, int]:
    """Rows and vectors whose sums are kept in registers: 24 of 32 where vectors have 512 bits, else 9 of 16."""
    return (6, 4) if widest * (4 if real == "float" else 8) == 64 else (3, 3)


def padded(columns: int, widest: int) -> int:
    """Columns with those of zeros that fill the last vectors, of a quarter of the width at least."""
    step = max(1, widest // 4)
    return -(-columns // step) * step


def matmul(text: Text, factors: Sequence[Factor], out: str, columns: int, widest: int) -> None:
    """``out`` (ROWS, columns) = sum of rows (ROWS, inner) @ table (inner, columns) over the factors."""
    tall, wide = tile(widest, text.real)
    for first, stop, width in chunks(columns, widest):
        whole = first + (stop - first) // (wide * width) * (wide * width)
        for start, end, vectors in ((first, whole, wide), (whole, stop, (stop - whole) // width)):
            if end > start:
                panel = _Panel(text, factors, out, columns, tall, vectors, width)
                text.loop(str(start), str(end), vectors * width, panel.emit)


class _Panel:
    """A few vectors of columns for all rows."""

    def __init__(self, text: Text, factors: Sequence[Factor], out: str, columns: int, tall: int, vectors: int, width: int) -> None:
        self.text, self.factors, self.out, self.columns = text, factors, out, columns
        self.tall, self.vectors, self.width, self.column = tall, vectors, width, "0"

    def emit(self, column: str, _: list[str]) -> list[str]:
        self.column = column
        self.text.loop("0", str(ROWS), self.tall, self._tile)
        return []

    def _tile(self, row: str, _: list[str]) -> list[str]:
        text, kind = self.text, self.text.vector(self.width)
        sums = [text.constants(0.0, self.width)] * (self.tall * self.vectors)
        for rows, table, inner in self.factors:
            starts = [text.at(rows, text.index(row, inner, r * inner)) for r in range(self.tall)]
            sums = text.loop("0", str(inner), 1, lambda k, s, at=starts, t=table: self._step(k, s, at, t), sums, kind)
        for n, total in enumerate(sums):
            place = text.index(row, self.columns, n // self.vectors * self.columns + n % self.vectors * self.width)
            text.store(text.at(self.out, text.sum_index(place, self.column)), total, self.width)
        return []

    def _step(self, k: str, sums: list[str], starts: list[str], table: str) -> list[str]:
        text, width = self.text, self.width
        line = text.at(table, text.sum_index(text.index(k, self.columns), self.column))
        entries = [text.load(text.at(line, str(v * width)), width) for v in range(self.vectors)]
        factors = [text.splat(text.load(text.at(start, k)), width) for start in starts]
        return [text.multiply_add(factors[n // self.vectors], entries[n % self.vectors], sums[n], width) for n in range(len(sums))]


def constant(name: str, table: np.ndarray, real: str) -> str:
    """The definition of a table, by its bytes."""
    data = np.ascontiguousarray(table, np.float32 if real == "float" else np.float64).tobytes()
    text = "".join(f"\\{byte:02X}" for byte in data)
    return f'@{name} = private unnamed_addr constant [{len(data)} x i8] c"{text}", align 64'
