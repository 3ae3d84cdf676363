"""The arithmetic of one block for one copy of b, as Triton."""

from __future__ import annotations

from typing import Protocol

from tpregistry.plan.schedule import Block
from tpregistry_cg.sweep import Pair, Sweep
from tpregistry_cg.triton.passes import Target, target_of
from tpregistry_cg.triton.text import ZERO
from tpregistry_cg.triton.tile import Tile


class Sums(Protocol):
    """Where results go; see `tpregistry_cg.triton.program.Program`."""

    tile: Tile

    def add(self, target: Target, values: list[str]) -> None:
        """To what is written."""
        ...

    def running(self, target: Target, lanes: int) -> list[str]:
        """Sums of each lane, added to in place."""
        ...

    def ran(self, target: Target) -> None:
        """Running sums were added to."""
        ...


class Turn:
    """One block for copy s of b; see `tpregistry_cg.sweep.Pieces`."""

    def __init__(self, sums: Sums, block: Block, s: int) -> None:
        self.sums, self.tile, self.text, self.block, self.s = sums, sums.tile, sums.tile.text, block, s

    def emit(self) -> None:
        """All terms. Gradients of a b that lanes share are summed over lanes last, when all blocks have added to them."""
        operands = dict.fromkeys(use.b for use in self.block.uses if use.target == "b")
        found = {operand: self._gradient(operand) for operand in operands}
        adders = {operand: lambda pair, a, g, f=values: self._product(f, pair, a, g) for operand, values in found.items()}
        Sweep(self.text, self.block, 0, self).run(adders)
        for operand, values in found.items():
            target = target_of(self.block, "b", operand, self.s)
            self.sums.ran(target) if self.block.hoisted else self.sums.add(target, values)

    def _gradient(self, operand: str) -> list[str]:
        if self.block.hoisted:
            return self.sums.running(target_of(self.block, "b", operand, self.s), self.block.lanes)
        return [ZERO] * self.block.b.size

    def read(self, role: str, operand: str) -> list[str]:
        """The components of a, out or w."""
        place = self.block.place(role)
        return [self.tile.load(operand, place, self.s, i, self.block.lanes) for i in range(place.size)]

    def matrix(self, operand: str, pair: Pair) -> str:
        """M[i, k]: sums of b's components, of a sample or of a lane."""
        place, lanes = self.block.b, self.block.lanes
        parts = [f"{c!r} * {self.tile.load(operand, place, self.s, j, lanes)}" for j, c in self.block.terms_of_pair(*pair)]
        spread = lanes if place.lane else self.tile.spread(lanes)
        return self.tile.once(("M", operand, place, self.s, id(self.block.coefficients), pair, spread), " + ".join(parts))

    def write(self, role: str, operand: str, components: list[str]) -> None:
        """Add to a target."""
        self.sums.add(target_of(self.block, role, operand, self.s), components)

    def _product(self, found: list[str], pair: Pair, weighted: str, g: str) -> None:
        product = self.text.let(f"{weighted} * {g}")
        for j, c in self.block.terms_of_pair(*pair):
            found[j] = self.text.let(f"{c!r} * {product}" if found[j] == ZERO else f"{c!r} * {product} + {found[j]}")
