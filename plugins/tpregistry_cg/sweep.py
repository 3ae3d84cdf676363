"""One sweep over lanes of a block, in any language: every term of it, whatever its target, from the same loaded pieces.

With P[i] = w a[i] and H[i] = sum_k M[i, k] g[k] (g is what has the role of out):

    out[k] += sum_i P[i] M[i, k]      a[i] += w H[i]      w += sum_i a[i] H[i]      M[i, k] += P[i] g[k]

Sums of P over several (a, w) with the same b are taken first, so a double backward costs little more than a backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tpregistry.plan.schedule import Block, Use

Pair = tuple[int, int]


class Text(Protocol):
    """A program being written; values are names or constants of ``width`` lanes."""

    def multiply_add(self, left: str, right: str, total: str | None, width: int = 0) -> str:
        """``left * right + total``; without a total the product."""
        ...

    def add(self, left: str, right: str, width: int) -> str:
        """The sum."""
        ...

    def constants(self, value: float, width: int) -> str:
        """The same number in every lane."""
        ...


class Pieces(Protocol):
    """How a sweep reads and writes the lanes of its operands."""

    def read(self, role: str, operand: str) -> list[str]:
        """The components of a, out or w, a vector each."""
        ...

    def matrix(self, operand: str, pair: Pair) -> str:
        """M[i, k] of an operand in the role of b."""
        ...

    def write(self, role: str, operand: str, components: list[str]) -> None:
        """Store or add the components of a target."""
        ...


class Sweep:
    """The arithmetic of one block on ``width`` lanes; values that several terms need are computed once."""

    def __init__(self, text: Text, block: Block, width: int, pieces: Pieces) -> None:
        self.text, self.block, self.width, self.pieces = text, block, width, pieces
        self._known: dict[object, list[str]] = {}

    def run(self, sums: dict[str, Callable[[Pair, str, str], None]]) -> None:
        """All terms; ``sums[operand](pair, P_i, g_k)`` adds to M[i, k] of a target in the role of b."""
        for target in dict.fromkeys((use.target, use.operand(use.target)) for use in self.block.uses):
            uses = [use for use in self.block.uses if (use.target, use.operand(use.target)) == target]
            role, operand = target
            if role == "b":
                self._add_products(uses, sums[operand])
            else:
                self.pieces.write(role, operand, {"out": self._out, "a": self._a, "w": self._w}[role](uses))

    def _once(self, key: object, make: Callable[[], list[str]]) -> list[str]:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _read(self, role: str, operand: str) -> list[str]:
        return self._once((role, operand), lambda: self.pieces.read(role, operand))

    def _fma(self, left: str, right: str, total: str | None) -> str:
        return self.text.multiply_add(left, right, total, self.width)

    def _weighted(self, uses: list[Use]) -> list[str]:
        """P[i] = sum over uses of w a[i]."""
        factors = tuple((use.a, use.w) for use in uses)

        def make() -> list[str]:
            found: list[str | None] = [None] * self.block.a.size
            for a, w in factors:
                for i, component in enumerate(self._read("a", a)):
                    found[i] = self._plus(component, w and self._read("w", w)[0], found[i])
            return [value for value in found if value is not None]

        return self._once(factors, make)

    def _plus(self, value: str, weight: str, total: str | None) -> str:
        if weight:
            return self._fma(value, weight, total)
        return value if total is None else self.text.add(value, total, self.width)

    def _hoisted(self, b: str, out: str) -> list[str]:
        """H[i] = sum_k M[i, k] g[k]; zero where no pair has the i."""

        def make() -> list[str]:
            g, found = self._read("out", out), self._empty(self.block.a.size)
            for i, k in self.block.pairs:
                found[i] = self._fma(self.pieces.matrix(b, (i, k)), g[k], found[i])
            return self._filled(found)

        return self._once(("H", b, out), make)

    def _out(self, uses: list[Use]) -> list[str]:
        found = self._empty(self.block.out.size)
        for b in dict.fromkeys(use.b for use in uses):
            weighted = self._weighted([use for use in uses if use.b == b])
            for i, k in self.block.pairs:
                found[k] = self._fma(self.pieces.matrix(b, (i, k)), weighted[i], found[k])
        return self._filled(found)

    def _a(self, uses: list[Use]) -> list[str]:
        found = self._empty(self.block.a.size)
        for use in uses:
            for i, value in enumerate(self._hoisted(use.b, use.out)):
                found[i] = self._plus(value, use.w and self._read("w", use.w)[0], found[i])
        return self._filled(found)

    def _w(self, uses: list[Use]) -> list[str]:
        total: str | None = None
        for use in uses:
            for component, value in zip(self._read("a", use.a), self._hoisted(use.b, use.out), strict=True):
                total = self._fma(component, value, total)
        return self._filled([total])

    def _add_products(self, uses: list[Use], add: Callable[[Pair, str, str], None]) -> None:
        for out in dict.fromkeys(use.out for use in uses):
            weighted, g = self._weighted([use for use in uses if use.out == out]), self._read("out", out)
            for i, k in self.block.pairs:
                add((i, k), weighted[i], g[k])

    def _empty(self, size: int) -> list[str | None]:
        return [None] * size

    def _filled(self, values: list[str | None]) -> list[str]:
        return [self.text.constants(0.0, self.width) if value is None else value for value in values]
