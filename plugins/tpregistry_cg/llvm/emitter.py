"""A schedule as one LLVM function over a range of samples, or of nodes with their edges (`Node`)."""

from __future__ import annotations

from tpregistry.native import Machine, Writer, Written
from tpregistry.native.entry import module
from tpregistry.native.lanes import chunks
from tpregistry.native.text import Text
from tpregistry.plan import Plan
from tpregistry.plan.orders import ORDER, owner
from tpregistry.plan.schedule import Block, Place, Schedule, schedule, written
from tpregistry_cg.llvm.blocks import Group
from tpregistry_cg.llvm.nodes import Node


def write(plan: Plan, machine: Machine) -> Written:
    """A plan's schedule, written down for a machine."""
    found = schedule(plan)
    sample = Sample(found, machine)
    itemsize = 4 if machine.real == "float" else 8
    return Written(sample.function(), sample.scratch.size, found.nanoseconds(itemsize), str(found))


WRITER = Writer("cg-llvm", write)


class _Scratch:
    """Places in scratch memory, handed out in order; setting ``next`` back gives back what was taken since."""

    def __init__(self, align: int) -> None:
        self.align, self.next, self.size = align, 0, 0

    def take(self, count: int) -> int:
        start = self.next
        self.next += -(-count // self.align) * self.align
        self.size = max(self.size, self.next)
        return start


class Sample:
    """The code for one sample, inside the loop over samples."""

    def __init__(self, schedule: Schedule, machine: Machine) -> None:
        self.schedule, self.real, self.widest, self.index = schedule, machine.real, machine.lanes, machine.index
        self.operands = schedule.plan.inputs + schedule.plan.outputs
        self.owner = owner(schedule.plan)
        self.own_row = {operand.name: operand.batched and not operand.site for operand in self.operands}
        self.text = Text(self.real)
        self.scratch = _Scratch(self.widest)
        self.rows: dict[str, str] = {}
        self.started: set[tuple[str, int]] = set()
        self.lane_sums: dict[tuple[str, int], int] = {}
        self.node = Node(self)

    def function(self) -> str:
        """The whole module."""
        self.text.loop("%begin", "%end", 1, self.node.emit if self.owner else self.emit)
        return module(self.text, len(self.operands), ORDER if self.owner else ())

    def move_to(self, site: str, row: str) -> None:
        """Find the rows of what lies at a site; those of a sample itself have none."""
        for n, operand in enumerate(self.operands):
            if operand.site == site:
                self.rows[operand.name] = self.text.at(f"%p{n}", self.text.let(f"mul nsw i64 {row}, %s{n}"))

    def emit(self, sample: str, _: list[str]) -> list[str]:
        """Every group, for one sample."""
        self.move_to("", sample)
        self._fill_gaps()
        for block in (block for group in self.schedule.groups for block in group if block.hoisted):
            self._start_lane_sums(block)
        mark = self.scratch.next
        for group in self.schedule.groups:
            self.scratch.next = mark
            Group(self, group).emit()
        self._reduce_lane_sums()
        return []

    def _fill_gaps(self) -> None:
        """Zeros where no block writes."""
        ranges = written(block for group in self.schedule.groups for block in group)
        for operand in self.schedule.plan.outputs:
            reached = 0
            for start, stop in [*sorted(ranges.get(operand.name, [])), (operand.size, operand.size)]:
                self.zero(operand.name, reached, start - reached)
                reached = max(reached, stop)

    def zero(self, operand: str, start: int, count: int) -> None:
        """Clear a piece of a target's row; that of several samples is cleared before the first."""
        if count > 0 and self.own_row[operand]:
            self.clear(self.text.at(self.rows[operand], str(start)), count)

    def clear(self, address: str, count: int) -> None:
        """Zeros from an address on."""
        for first, stop, width in chunks(count, self.widest):
            self.text.loop(str(first), str(stop), width, lambda c, _, width=width: self._clear(address, c, width))

    def _clear(self, address: str, c: str, width: int) -> list[str]:
        self.text.store(self.text.at(address, c), self.text.constants(0.0, width), width)
        return []

    def begin(self, operand: str, place: Place, pieces: int) -> bool:
        """Whether a target's piece must be added to; ``pieces`` > 1 turns over the same place begin by clearing it."""
        fresh = self.own_row[operand] and (operand, place.start) not in self.started
        self.started.add((operand, place.start))
        if fresh and pieces > 1:
            self.zero(operand, place.start, place.length)
        return not fresh or pieces > 1

    def _start_lane_sums(self, block: Block) -> None:
        for use in block.uses:
            key = use.b, block.b.start
            if use.target == "b" and key not in self.lane_sums:
                count = block.loops * block.b.size * self.widest
                self.lane_sums[key] = self.scratch.take(count)
                self.clear(self.text.at("%scratch", str(self.lane_sums[key])), count)

    def _reduce_lane_sums(self) -> None:
        places = {}
        for block in (block for group in self.schedule.groups for block in group):
            places |= {(use.b, block.b.start): block.b for use in block.uses if use.target == "b" and block.hoisted}
        for (operand, start), place in places.items():
            add = self.begin(operand, place, 1)
            sums = self.text.at("%scratch", str(self.lane_sums[operand, start]))
            row = self.text.at(self.rows[operand], str(start))
            self.text.loop("0", str(place.length), 1, lambda j, _, s=sums, r=row, a=add: self._reduce(j, s, r, a))

    def _reduce(self, j: str, sums: str, row: str, add: bool) -> list[str]:
        vector = self.text.load(self.text.at(sums, self.text.index(j, self.widest)), self.widest)
        total, place = self.text.total(vector, self.widest), self.text.at(row, j)
        self.text.store(place, self.text.let(f"fadd {self.real} {total}, {self.text.load(place)}") if add else total)
        return []
