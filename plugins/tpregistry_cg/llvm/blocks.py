"""The blocks of a schedule for one sample: those that share a piece of a, and each of them for every copy of b."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tpregistry.native.lanes import chunks
from tpregistry.plan.schedule import Block
from tpregistry_cg.llvm.apart import Apart
from tpregistry_cg.llvm.pieces import Lanes, Sums
from tpregistry_cg.sweep import Sweep

if TYPE_CHECKING:
    from tpregistry_cg.llvm.emitter import Sample


class Group:
    """Blocks that share the piece of a: where its components are interleaved and several blocks use it, it is laid out
    component by component in scratch memory once, and so are its gradients."""

    def __init__(self, sample: Sample, blocks: tuple[Block, ...]) -> None:
        self.sample, self.text, self.blocks = sample, sample.text, blocks
        self.place, self.lanes = blocks[0].a, blocks[0].lanes
        self.read_from = self._laid_out(lambda use: use.target != "a")
        self.add_to = self._laid_out(lambda use: use.target == "a")
        self.started: set[str] = set()

    def _laid_out(self, wanted: Callable) -> dict[str, Apart]:
        users: dict[str, int] = {}
        for block in self.blocks:
            for operand in {use.a for use in block.uses if wanted(use)} - self.sample.node.pieces.keys():
                users[operand] = users.get(operand, 0) + block.loops
        if self.place.size == 1:
            return {}
        return {operand: self._scratch() for operand in sorted(users) if users[operand] > 1}

    def _scratch(self) -> Apart:
        address = self.text.at("%scratch", str(self.sample.scratch.take(self.place.length)))
        return Apart(self.text, address, self.lanes, self.place.size)

    def emit(self) -> None:
        """Lay out, run the blocks, put gradients back."""
        for operand, piece in self.read_from.items():
            self._move(operand, piece.take)
        for block in self.blocks:
            turn = Turn(self, block)
            self.text.loop("0", str(block.loops), 1, turn.emit)
        for operand, piece in self.add_to.items():
            self._move(operand, partial(piece.put_back, add=self.sample.begin(operand, self.place, 1)))

    def _move(self, operand: str, move: Callable[[str, str, int], None]) -> None:
        for first, stop, width in chunks(self.lanes, self.sample.widest):

            def turn(c: str, _: list[str], width: int = width) -> list[str]:
                place = self.text.index(c, self.place.lane, self.place.start)
                move(self.text.at(self.sample.rows[operand], place), c, width)
                return []

            self.text.loop(str(first), str(stop), width, turn)

    def begin(self, operand: str, pieces: int) -> bool:
        """See `Sample.begin`, for a gradient that is laid out."""
        fresh = operand not in self.started
        self.started.add(operand)
        if fresh and pieces > 1:
            self.sample.clear(self.add_to[operand].address, self.place.length)
        return not fresh or pieces > 1


class Turn:
    """One block for one copy s of b."""

    def __init__(self, group: Group, block: Block) -> None:
        self.group, self.block, self.s = group, block, "0"
        self.sample, self.text = group.sample, group.text
        targets = dict.fromkeys((use.target, use.operand(use.target)) for use in block.uses)
        self.adds = {operand: self._adds(role, operand) for role, operand in targets}
        self.matrices: dict[str, str] = {}

    def _adds(self, role: str, operand: str) -> bool:
        place = self.block.place(role)
        pieces = 1 if place.loop else self.block.loops
        if role == "a" and operand in self.group.add_to:
            return self.group.begin(operand, pieces)
        return True if role == "b" and self.block.hoisted else self.sample.begin(operand, place, pieces)

    def emit(self, s: str, _: list[str]) -> list[str]:
        """Matrices, then lanes by chunks, then the gradients of b."""
        self.s, mark = s, self.sample.scratch.next
        self._emit()
        self.sample.scratch.next = mark
        return []

    def _emit(self) -> None:
        self.text.note(str(self.block))
        if self.block.hoisted:
            for b in dict.fromkeys(use.b for use in self.block.uses if use.target != "b"):
                self.matrices[b] = self._hoist(b)
        for first, stop, width in chunks(self.block.lanes, self.sample.widest):
            self._lanes(first, stop, width, {b: Sums(self, width) for b in self._summed()})

    def _summed(self) -> list[str]:
        """Operands whose gradients in the role of b are sums over the lanes."""
        found = (use.b for use in self.block.uses if use.target == "b" and self.block.hoisted)
        return list(dict.fromkeys(found))

    def _lanes(self, first: int, stop: int, width: int, sums: dict[str, Sums]) -> None:
        initial = [value for each in sums.values() for value in each.initial]

        def body(c: str, carried: list[str]) -> list[str]:
            left = list(carried)
            for each in sums.values():
                each.values, left = left[: len(each.initial)], left[len(each.initial) :]
            pieces = Lanes(self, c, width)
            Sweep(self.text, self.block, width, pieces).run({b: each.add for b, each in sums.items()} or pieces.lane_sums())
            pieces.finish()
            return [value for each in sums.values() for value in each.values]

        results = self.text.loop(str(first), str(stop), width, body, initial, self.text.vector(width))
        for b, each in sums.items():
            each.values, results = results[: len(each.initial)], results[len(each.initial) :]
            each.finish(b)

    def _hoist(self, b: str) -> str:
        """M[i, k] = sum_j C[i, j, k] b[j], scalars in scratch memory."""
        row, place = self.sample.rows[b], self.block.b
        places = (self.text.index(self.s, place.loop, place.start + j) for j in range(place.size))
        values = [self.text.load(self.text.at(row, place)) for place in places]
        matrix = self.text.at("%scratch", str(self.sample.scratch.take(len(self.block.pairs))))
        for number, (i, k) in enumerate(self.block.pairs):
            self.text.store(self.text.at(matrix, str(number)), self.contract(i, k, values, 0))
        return matrix

    def contract(self, i: int, k: int, values: list[str], width: int) -> str:
        """sum_j C[i, j, k] b[j] of scalars or vectors."""
        total: str | None = None
        for j, coefficient in self.block.terms_of_pair(i, k):
            factor = self.text.constants(coefficient, width) if width else self.text.constant(coefficient)
            total = self.text.multiply_add(values[j], factor, total, width)
        assert total is not None, "a pair has terms"
        return total
