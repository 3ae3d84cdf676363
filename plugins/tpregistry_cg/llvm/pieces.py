"""What a sweep over some lanes reads from and writes to, and the sums that become gradients of b."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tpregistry.native.lanes import load_components, load_strided, store_components, store_strided
from tpregistry.plan.schedule import Place
from tpregistry_cg.llvm.apart import Apart
from tpregistry_cg.sweep import Pair

if TYPE_CHECKING:
    from tpregistry_cg.llvm.blocks import Turn

MOST_SUMS = 20
"""Sums of M[i, k] that are carried through a loop over the lanes in registers; beyond, sums over j are."""


class Sums:
    """Gradients of b while the lanes go by: M[i, k] in registers where they fit, else b[j]; in the end b[j] by lane."""

    def __init__(self, turn: Turn, width: int) -> None:
        self.turn, self.text, self.block, self.width = turn, turn.text, turn.block, width
        self.by_pair = len(turn.block.pairs) <= MOST_SUMS
        self.slots = {pair: n for n, pair in enumerate(turn.block.pairs)}
        count = len(self.slots) if self.by_pair else turn.block.b.size
        self.initial = [turn.text.constants(0.0, width)] * count
        self.values: list[str] = []

    def add(self, pair: Pair, weighted: str, g: str) -> None:
        """M[i, k] += P[i] g[k]."""
        if self.by_pair:
            slot = self.slots[pair]
            self.values[slot] = self.text.multiply_add(weighted, g, self.values[slot], self.width)
        else:
            self._spread(pair, self.text.multiply_add(weighted, g, None, self.width))

    def _spread(self, pair: Pair, product: str) -> None:
        """b[j] += C[i, j, k] M[i, k]."""
        for j, coefficient in self.block.terms_of_pair(*pair):
            factor = self.text.constants(coefficient, self.width)
            self.values[j] = self.text.multiply_add(product, factor, self.values[j], self.width)

    def finish(self, b: str) -> None:
        """Add to the lane sums of this copy of b."""
        if self.by_pair:
            products, self.values = self.values, [self.text.constants(0.0, self.width)] * self.block.b.size
            for pair, slot in self.slots.items():
                self._spread(pair, products[slot])
        sample, widest = self.turn.sample, self.turn.sample.widest
        base = self.text.at("%scratch", str(sample.lane_sums[b, self.block.b.start]))
        start = self.text.at(base, self.text.index(self.turn.s, self.block.b.size * widest if self.block.loops > 1 else 0))
        for j, value in enumerate(self.values):
            place = self.text.at(start, str(j * widest))
            self.text.store(place, self.text.add(self.text.load(place, self.width), value, self.width), self.width)


class Lanes:
    """See `Pieces`: lanes from c on."""

    def __init__(self, turn: Turn, c: str, width: int) -> None:
        self.turn, self.c, self.width = turn, c, width
        self.text, self.block, self.sample = turn.text, turn.block, turn.sample
        self._matrices: dict[tuple[str, Pair], str] = {}
        self._components: dict[str, list[str]] = {}
        self._gradients: dict[str, list[str]] = {}

    def _address(self, role: str, operand: str) -> str:
        place = self.block.place(role)
        return self._of_copy(place, operand, self.text.index(self.c, place.lane, place.start))

    def _of_copy(self, place: Place, operand: str, index: str) -> str:
        if place.loop and self.block.loops > 1:
            index = self.text.sum_index(self.text.index(self.turn.s, place.loop), index)
        return self.text.at(self.sample.rows[operand], index)

    def _apart(self, role: str, operand: str) -> Apart:
        place = self.block.place(role)
        return Apart(self.text, self._of_copy(place, operand, str(place.start)), self.block.lanes, place.size)

    def read(self, role: str, operand: str) -> list[str]:
        """See `Pieces.read`."""
        if role == "a" and operand in self.turn.group.read_from:
            return self.turn.group.read_from[operand].load(self.c, self.width)
        if operand in self.sample.node.pieces:
            return self._apart(role, operand).load(self.c, self.width)
        address = self._address(role, operand)
        place = self.block.place(role)
        if role == "w":
            return [load_strided(self.text, address, place.lane, self.width)]
        return load_components(self.text, address, place.size, self.width)

    def matrix(self, operand: str, pair: Pair) -> str:
        """See `Pieces.matrix`."""
        key = operand, pair
        if key not in self._matrices:
            self._matrices[key] = self._hoisted(*key) if self.block.hoisted else self._by_lane(*key)
        return self._matrices[key]

    def _hoisted(self, operand: str, pair: Pair) -> str:
        number = self.block.pairs.index(pair)
        return self.text.splat(self.text.load(self.text.at(self.turn.matrices[operand], str(number))), self.width)

    def _by_lane(self, operand: str, pair: Pair) -> str:
        if operand not in self._components:
            self._components[operand] = self.read("b", operand)
        return self.turn.contract(*pair, self._components[operand], self.width)

    def write(self, role: str, operand: str, components: list[str]) -> None:
        """See `Pieces.write`."""
        add = self.turn.adds[operand]
        if role == "a" and operand in self.turn.group.add_to:
            self.turn.group.add_to[operand].store(self.c, self.width, components, add)
        elif operand in self.sample.node.pieces:
            self._apart(role, operand).store(self.c, self.width, components, add)
        elif role == "w":
            stride = self.block.place("w").lane
            store_strided(self.text, self._address(role, operand), stride, components[0], self.width, add)
        else:
            store_components(self.text, self._address(role, operand), components, self.width, add)

    def lane_sums(self) -> dict[str, Callable[[Pair, str, str], None]]:
        """Where b has lanes of its own: its gradients, lane by lane."""
        targets = dict.fromkeys(use.b for use in self.block.uses if use.target == "b")
        return {operand: lambda pair, weighted, g, operand=operand: self._add(operand, pair, weighted, g) for operand in targets}

    def _add(self, operand: str, pair: Pair, weighted: str, g: str) -> None:
        zero = self.text.constants(0.0, self.width)
        sums = self._gradients.setdefault(operand, [zero] * self.block.b.size)
        product = self.text.multiply_add(weighted, g, None, self.width)
        for j, coefficient in self.block.terms_of_pair(*pair):
            sums[j] = self.text.multiply_add(product, self.text.constants(coefficient, self.width), sums[j], self.width)

    def finish(self) -> None:
        """Write the gradients of a b that has lanes."""
        for operand, components in self._gradients.items():
            self.write("b", operand, components)
