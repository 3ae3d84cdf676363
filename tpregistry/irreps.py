"""Irreps of O(3) as strings and numbers, so that problems can be described without a framework."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tpregistry.lazy import lazy

_TERM = re.compile(r"^(?:(\d+)\s*x\s*)?(\d+)([eo])$")


class MulIrrep(NamedTuple):
    """``mul`` copies of the irrep of degree ``l`` and parity ``p`` (+1 even, -1 odd)."""

    mul: int
    l: int
    p: int

    @property
    def dim(self) -> int:
        """Components of all copies, ``mul * (2 l + 1)``."""
        return self.mul * (2 * self.l + 1)

    def __str__(self) -> str:
        return f"{self.mul}x{self.l}{'e' if self.p == 1 else 'o'}"


@dataclass(frozen=True)
class Irreps:
    """An ordered direct sum of irreps; the data layout is e3nn's ``mul_ir`` (copy slow, component fast)."""

    items: tuple[MulIrrep, ...]

    @classmethod
    def parse(cls, text: str) -> Irreps:
        """Read ``"128x0e + 64x1o"``. Raises ValueError naming the part that is not an irrep."""
        parts = [part.strip() for part in text.split("+")] if text.strip() else []
        return cls(tuple(_parse_term(part, text) for part in parts))

    @lazy
    def dim(self) -> int:
        """Length of one sample."""
        return sum(item.dim for item in self.items)

    @lazy
    def offsets(self) -> tuple[int, ...]:
        """Where each item starts within one sample."""
        ends = [0]
        for item in self.items:
            ends.append(ends[-1] + item.dim)
        return tuple(ends[:-1])

    def slices(self) -> list[slice]:
        """The place of each item within one sample."""
        return [slice(start, start + item.dim) for start, item in zip(self.offsets, self.items, strict=True)]

    def by_channel(self) -> list[list[int]]:
        """The places of each item where all irreps of a copy lie side by side, copy after copy; items have as many copies."""
        widths = [2 * item.l + 1 for item in self]
        starts = [sum(widths[:n]) for n in range(len(widths))]
        return [
            [copy * sum(widths) + start + i for copy in range(item.mul) for i in range(width)]
            for start, width, item in zip(starts, widths, self, strict=True)
        ]

    def __iter__(self) -> Iterator[MulIrrep]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> MulIrrep:
        return self.items[index]

    def __str__(self) -> str:
        return "+".join(str(item) for item in self.items)


def natural(irreps: Irreps) -> Irreps:
    """The same irreps. Raises ValueError where they are no signal of natural parity: 0e, 1o, 2e..., each once, as many of each."""
    degrees, copies = [item.l for item in irreps], {item.mul for item in irreps}
    if not degrees or len(copies) > 1 or len(set(degrees)) < len(degrees) or any(item.p != (-1) ** item.l for item in irreps):
        raise ValueError(f"{irreps}: use natural irreps, each once and in as many copies, such as 8x0e+8x1o+8x2e")
    return irreps


def _parse_term(part: str, text: str) -> MulIrrep:
    match = _TERM.match(part)
    if match is None:
        raise ValueError(f"{part!r} in {text!r} is not an irrep; write '16x1o' or '0e' (copies x degree, e or o)")
    mul, degree, parity = match.groups()
    return MulIrrep(int(mul) if mul else 1, int(degree), 1 if parity == "e" else -1)
