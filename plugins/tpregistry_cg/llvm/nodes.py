"""A node of a graph and its edges, of which each is a sample: what is summed there stays in the nearest cache.

Where operands lie at the nodes the range is of nodes: those that own the outputs (`owner`). Each is given its edges in turn, so
no two threads write to one place. Three more addresses follow those of the operands: where the edges of each owner begin, the
edges in that order, and the node at the other end of each. What lies at the owner is taken apart, component by component, before
its first edge, and what is summed is put together after its last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from tpregistry.native.lanes import chunks
from tpregistry.plan import Operand
from tpregistry.plan.schedule import ROLES, Block, Schedule
from tpregistry_cg.llvm.apart import Apart

if TYPE_CHECKING:
    from tpregistry_cg.llvm.emitter import Sample


@dataclass(frozen=True, order=True)
class Piece:
    """Part of a row: ``copies`` times ``lanes`` copies of ``size`` components."""

    start: int
    copies: int
    lanes: int
    size: int

    @property
    def length(self) -> int:
        """How many numbers that is."""
        return self.copies * self.lanes * self.size

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.start + self.length


def pieces(schedule: Schedule, operand: str) -> list[Piece]:
    """Of an operand's row, in order; none if blocks see it in different ways, or if no piece has components to take apart."""
    blocks = [block for group in schedule.groups for block in group]
    seen = {_piece(block, role) for role in ROLES for block in blocks for use in block.uses if use.operand(role) == operand}
    found = sorted(seen)
    alike = all(left.stop <= right.start for left, right in pairwise(found))
    return found if alike and any(piece.size > 1 for piece in found) else []


def _piece(block: Block, role: str) -> Piece:
    place = block.place(role)
    if place.lane == 0 or place.size == 1:
        return Piece(place.start, 1, place.length, 1)
    return Piece(place.start, block.loops if place.loop else 1, block.lanes, place.size)


def _and_gaps(found: Iterable[Piece], size: int) -> list[Piece]:
    """Of a whole row."""
    whole, reached = [], 0
    for piece in found:
        whole += [Piece(reached, 1, piece.start - reached, 1), piece]
        reached = piece.stop
    return [piece for piece in (*whole, Piece(reached, 1, size - reached, 1)) if piece.length]


class Node:
    """The code for one node."""

    def __init__(self, sample: Sample) -> None:
        self.sample, self.text = sample, sample.text
        here = [operand for operand in sample.operands if operand.site and operand.site == sample.owner]
        self.inputs = [operand for operand in here if operand in sample.schedule.plan.inputs]
        self.outputs = [operand for operand in here if operand in sample.schedule.plan.outputs]
        found = {operand.name: pieces(sample.schedule, operand.name) for operand in here}
        self.pieces = {name: each for name, each in found.items() if each}
        self._index = sample.index

    def emit(self, node: str, _: list[str]) -> list[str]:
        """Take apart, go through the edges, put together."""
        self.sample.move_to(self.sample.owner, node)
        rows = dict(self.sample.rows)
        for operand in self.inputs:
            self._take(operand)
        for operand in self.outputs:
            self._clear(operand)
        begin, end = (self._load("%first", place) for place in (node, self.text.index(node, 1, 1)))
        self.text.loop(begin, end, 1, self._edge)
        for operand in self.outputs:
            self._put_back(operand, rows[operand.name])
        return []

    def _load(self, array: str, place: str) -> str:
        return self.text.load_index(array, place, self._index)

    def _edge(self, place: str, _: list[str]) -> list[str]:
        self.sample.move_to({"sender": "receiver", "receiver": "sender"}[self.sample.owner], self._load("%other", place))
        return self.sample.emit(self._load("%edges", place), [])

    def _take(self, operand: Operand) -> None:
        if operand.name in self.pieces:
            row = self.sample.rows[operand.name]
            self._rest_in_scratch(operand)
            for piece in self.pieces[operand.name]:
                self._move(operand, piece, row, Apart.take)

    def _clear(self, operand: Operand) -> None:
        if operand.name in self.pieces:
            self._rest_in_scratch(operand)
        self.sample.clear(self.sample.rows[operand.name], operand.size)

    def _put_back(self, operand: Operand, row: str) -> None:
        if operand.name in self.pieces:
            for piece in _and_gaps(self.pieces[operand.name], operand.size):
                self._move(operand, piece, row, partial(Apart.put_back, add=False))

    def _rest_in_scratch(self, operand: Operand) -> None:
        self.sample.rows[operand.name] = self.text.at("%scratch", str(self.sample.scratch.take(operand.size)))

    def _move(self, operand: Operand, piece: Piece, row: str, move: Callable[..., None]) -> None:
        """Between a node's row and scratch memory."""
        scratch, step = self.sample.rows[operand.name], piece.lanes * piece.size

        def copy(s: str, _: list[str]) -> list[str]:
            start = self.text.index(s, step, piece.start)
            apart = Apart(self.text, self.text.at(scratch, start), piece.lanes, piece.size)
            interleaved = self.text.at(row, start)
            for first, stop, width in chunks(piece.lanes, self.sample.widest):
                self.text.loop(str(first), str(stop), width, partial(self._some, move, apart, interleaved, width))
            return []

        self.text.loop("0", str(piece.copies), 1, copy)

    def _some(self, move: Callable[..., None], apart: Apart, row: str, width: int, c: str, _: list[str]) -> list[str]:
        move(apart, self.text.at(row, self.text.index(c, apart.size)), c, width)
        return []
