"""Pieces laid out component by component in scratch memory, so that what goes over their lanes often need not shuffle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tpregistry.native.lanes import load_components, store_components
from tpregistry.native.text import Text


@dataclass(frozen=True)
class Apart:
    """``lanes`` copies of ``size`` components at an address: component i of copy c is number i * lanes + c."""

    text: Text
    address: str
    lanes: int
    size: int

    def _place(self, i: int, c: str) -> str:
        return self.text.at(self.address, self.text.index(c, 1, i * self.lanes))

    def load(self, c: str, width: int) -> list[str]:
        """``width`` copies from c on, a vector for each component."""
        return [self.text.load(self._place(i, c), width) for i in range(self.size)]

    def store(self, c: str, width: int, values: Sequence[str], add: bool) -> None:
        """Inverse of `load`; adds to what is there where asked."""
        for i, value in enumerate(values):
            place = self._place(i, c)
            self.text.store(place, self.text.add(self.text.load(place, width), value, width) if add else value, width)

    def take(self, row: str, c: str, width: int) -> None:
        """Copies from c on, from where they lie interleaved."""
        for i, component in enumerate(load_components(self.text, row, self.size, width)):
            self.text.store(self._place(i, c), component, width)

    def put_back(self, row: str, c: str, width: int, add: bool) -> None:
        """Inverse of `take`."""
        store_components(self.text, row, self.load(c, width), width, add)
