"""Triton source as text: named values over a tile of samples by lanes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Text:
    """The body of a kernel being written; see `tpregistry_cg.sweep.Text`. Values are names, or numbers."""

    def __init__(self, depth: int = 1) -> None:
        self.lines: list[str] = []
        self._depth, self._count = depth, 0

    def do(self, statement: str) -> None:
        """A statement."""
        self.lines.append("    " * self._depth + statement)

    def let(self, expression: str) -> str:
        """Name the value of an expression."""
        self._count += 1
        self.do(f"v{self._count} = {expression}")
        return f"v{self._count}"

    @contextmanager
    def inside(self, head: str) -> Iterator[None]:
        """Statements of a loop or branch."""
        self.do(head)
        self._depth += 1
        yield
        self._depth -= 1

    def multiply_add(self, left: str, right: str, total: str | None, width: int = 0) -> str:
        """``left * right + total``; without a total the product."""
        if ZERO in (left, right):
            return total or ZERO
        return self.let(f"{left} * {right}" + ("" if total in (None, ZERO) else f" + {total}"))

    def add(self, left: str, right: str, width: int = 0) -> str:
        """The sum."""
        if ZERO in (left, right):
            return right if left == ZERO else left
        return self.let(f"{left} + {right}")

    def constants(self, value: float, width: int) -> str:
        """A number, which takes the shape of what it meets."""
        return repr(float(value))


ZERO = repr(0.0)
