"""A schedule as one LLVM function over a range of samples.

``run(operands, begin, end, scratch)``: ``operands`` holds a pointer and a row stride (in numbers; 0 where a row serves all
samples) for each input and output of the plan. Nothing is allocated; ``scratch`` is the caller's. ``share(job)`` is for the
threads of an OpenMP team: each runs its share of the calls that the job lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tpregistry.plan.plan import Operand
from tpregistry.plan.schedule import Block, Place, Schedule, written
from tpregistry_cg.llvm.lanes import chunks, load_components, load_strided, store_components, store_strided
from tpregistry_cg.llvm.sweep import Pair, Sweep
from tpregistry_cg.llvm.text import Text

_SHARE = """
define void @share(ptr %job) {
entry:
  %number.function = load ptr, ptr %job
  %count.place = getelementptr i64, ptr %job, i64 1
  %count.function = load ptr, ptr %count.place
  %calls.place = getelementptr i64, ptr %job, i64 2
  %calls = load i64, ptr %calls.place
  %number = call i32 %number.function()
  %count = call i32 %count.function()
  %first = sext i32 %number to i64
  %step = sext i32 %count to i64
  %any = icmp slt i64 %first, %calls
  br i1 %any, label %call, label %done
call:
  %n = phi i64 [ %first, %entry ], [ %next, %call ]
  %offset = mul i64 %n, 4
  %start = add i64 %offset, 3
  %arguments = getelementptr i64, ptr %job, i64 %start
  %operands = load ptr, ptr %arguments
  %begin.place = getelementptr i64, ptr %arguments, i64 1
  %begin = load i64, ptr %begin.place
  %end.place = getelementptr i64, ptr %arguments, i64 2
  %end = load i64, ptr %end.place
  %scratch.place = getelementptr i64, ptr %arguments, i64 3
  %scratch = load ptr, ptr %scratch.place
  call void @run(ptr %operands, i64 %begin, i64 %end, ptr %scratch)
  %next = add i64 %n, %step
  %more = icmp slt i64 %next, %calls
  br i1 %more, label %call, label %done
done:
  ret void
}
"""

MOST_SUMS = 20
"""Sums of M[i, k] that are carried through a loop over the lanes in registers; beyond, sums over j are."""


@dataclass(frozen=True)
class Emitted:
    """LLVM IR, and how many numbers of scratch memory it wants."""

    source: str
    scratch: int


def emit(schedule: Schedule, real: str, widest: int) -> Emitted:
    """Write a schedule down for ``real`` (float, double) numbers and at most ``widest`` lanes at a time."""
    emitter = _Emitter(schedule, real, widest)
    return Emitted(emitter.function(), emitter.scratch.size)


class _Scratch:
    """Places in scratch memory, handed out in order; ``release`` gives back what was taken since ``size`` was ``mark``."""

    def __init__(self, align: int) -> None:
        self.align, self.next, self.size = align, 0, 0

    def take(self, count: int) -> int:
        start = self.next
        self.next += -(-count // self.align) * self.align
        self.size = max(self.size, self.next)
        return start


class _Emitter:
    def __init__(self, schedule: Schedule, real: str, widest: int) -> None:
        self.schedule, self.real, self.widest = schedule, real, widest
        self.operands = schedule.plan.inputs + schedule.plan.outputs
        self.batched = {operand.name: operand.batched for operand in self.operands}
        self.text = Text(real)
        self.scratch = _Scratch(widest)
        self.rows: dict[str, str] = {}
        self.started: set[tuple[str, int]] = set()
        self.lane_sums: dict[tuple[str, int], int] = {}

    def function(self) -> str:
        """The whole module."""
        self.text.loop("%begin", "%end", 1, self._sample)
        names = [name for n in range(len(self.operands)) for name in (f"ptr noalias %p{n}", f"i64 %s{n}")]
        body = [f"define internal void @sweep({', '.join([*names, 'i64 %begin, i64 %end, ptr noalias %scratch'])}) {{", "entry:"]
        return "\n".join([*body, *self.text.lines, "  ret void", "}", *self._entry(), *self.text.declarations(), ""])

    def _entry(self) -> list[str]:
        """What is called from outside: takes the operands from a table, so that all plans have one signature."""
        lines = ["define void @run(ptr %operands, i64 %begin, i64 %end, ptr %scratch) {"]
        passed = []
        for n in range(len(self.operands)):
            for kind, name, place in (("ptr noalias", f"%p{n}", 2 * n), ("i64", f"%s{n}", 2 * n + 1)):
                lines.append(f"  {name}a = getelementptr i64, ptr %operands, i64 {place}")
                lines.append(f"  {name} = load {kind.split()[0]}, ptr {name}a")
                passed.append(f"{kind} {name}")
        call = f"  call void @sweep({', '.join([*passed, 'i64 %begin, i64 %end, ptr noalias %scratch'])})"
        return [*lines, call, "  ret void", "}", *_SHARE.strip().splitlines()]

    def _sample(self, sample: str, _: list[str]) -> list[str]:
        for n, operand in enumerate(self.operands):
            offset = self.text.let(f"mul nsw i64 {sample}, %s{n}")
            self.rows[operand.name] = self.text.at(f"%p{n}", offset)
        self._fill_gaps()
        for block in (block for group in self.schedule.groups for block in group if block.hoisted):
            self._start_lane_sums(block)
        mark = self.scratch.next
        for group in self.schedule.groups:
            self.scratch.next = mark
            _Group(self, group).emit()
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
        """Clear a piece of a target's row; one row for all samples is cleared by the caller."""
        if count > 0 and self.batched[operand]:
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
        fresh = self.batched[operand] and (operand, place.start) not in self.started
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


class _Group:
    """Blocks that share the piece of a: where its components are interleaved and several blocks use it, it is laid out
    component by component in scratch memory once, and so are its gradients."""

    def __init__(self, emitter: _Emitter, blocks: tuple[Block, ...]) -> None:
        self.emitter, self.text, self.blocks = emitter, emitter.text, blocks
        self.place, self.lanes = blocks[0].a, blocks[0].lanes
        self.read_from = self._laid_out(lambda use: use.target != "a")
        self.add_to = self._laid_out(lambda use: use.target == "a")
        self.started: set[str] = set()

    def _laid_out(self, wanted: Callable) -> dict[str, str]:
        users: dict[str, int] = {}
        for block in self.blocks:
            for operand in {use.a for use in block.uses if wanted(use)}:
                users[operand] = users.get(operand, 0) + block.loops
        if self.place.size == 1:
            return {}
        return {operand: self._scratch(self.place.length) for operand in sorted(users) if users[operand] > 1}

    def _scratch(self, count: int) -> str:
        return self.text.at("%scratch", str(self.emitter.scratch.take(count)))

    def emit(self) -> None:
        """Lay out, run the blocks, put gradients back."""
        for operand, address in self.read_from.items():
            self._move(operand, lambda c, width, row, address=address: self._lay_out(row, address, c, width))
        for block in self.blocks:
            turn = _Turn(self, block)
            self.text.loop("0", str(block.loops), 1, turn.emit)
        for operand, address in self.add_to.items():
            add = self.emitter.begin(operand, self.place, 1)
            self._move(operand, lambda c, width, row, address=address, add=add: self._put_back(row, address, c, width, add))

    def _move(self, operand: str, body: Callable[[str, int, str], None]) -> None:
        for first, stop, width in chunks(self.lanes, self.emitter.widest):

            def turn(c: str, _: list[str], width: int = width) -> list[str]:
                place = self.text.index(c, self.place.lane, self.place.start)
                body(c, width, self.text.at(self.emitter.rows[operand], place))
                return []

            self.text.loop(str(first), str(stop), width, turn)

    def _lay_out(self, row: str, address: str, c: str, width: int) -> None:
        for i, component in enumerate(load_components(self.text, row, self.place.size, width)):
            self.text.store(self._component(address, i, c), component, width)

    def _put_back(self, row: str, address: str, c: str, width: int, add: bool) -> None:
        store_components(self.text, row, self.components(address, c, width), width, add)

    def _component(self, address: str, i: int, c: str) -> str:
        return self.text.at(address, self.text.index(c, 1, i * self.lanes))

    def components(self, address: str, c: str, width: int) -> list[str]:
        """Lanes from c on of a piece that is laid out."""
        return [self.text.load(self._component(address, i, c), width) for i in range(self.place.size)]

    def add_components(self, operand: str, c: str, width: int, values: list[str], add: bool) -> None:
        """Add to, or begin, a gradient that is laid out."""
        for i, value in enumerate(values):
            place = self._component(self.add_to[operand], i, c)
            self.text.store(place, self.text.add(self.text.load(place, width), value, width) if add else value, width)

    def begin(self, operand: str, pieces: int) -> bool:
        """See `_Emitter.begin`, for a gradient that is laid out."""
        fresh = operand not in self.started
        self.started.add(operand)
        if fresh and pieces > 1:
            self.emitter.clear(self.add_to[operand], self.place.length)
        return not fresh or pieces > 1


class _Turn:
    """One block for one copy s of b."""

    def __init__(self, group: _Group, block: Block) -> None:
        self.group, self.block, self.s = group, block, "0"
        self.emitter, self.text = group.emitter, group.text
        targets = dict.fromkeys((use.target, use.operand(use.target)) for use in block.uses)
        self.adds = {operand: self._adds(role, operand) for role, operand in targets}
        self.matrices: dict[str, str] = {}

    def _adds(self, role: str, operand: str) -> bool:
        place = self.block.place(role)
        pieces = 1 if place.loop else self.block.loops
        if role == "a" and operand in self.group.add_to:
            return self.group.begin(operand, pieces)
        return True if role == "b" and self.block.hoisted else self.emitter.begin(operand, place, pieces)

    def emit(self, s: str, _: list[str]) -> list[str]:
        """Matrices, then lanes by chunks, then the gradients of b."""
        self.s, mark = s, self.emitter.scratch.next
        self._emit()
        self.emitter.scratch.next = mark
        return []

    def _emit(self) -> None:
        if self.block.hoisted:
            for b in dict.fromkeys(use.b for use in self.block.uses if use.target != "b"):
                self.matrices[b] = self._hoist(b)
        for first, stop, width in chunks(self.block.lanes, self.emitter.widest):
            sums = {
                b: _Sums(self, width) for b in dict.fromkeys(u.b for u in self.block.uses if u.target == "b" and self.block.hoisted)
            }
            self._lanes(first, stop, width, sums)

    def _lanes(self, first: int, stop: int, width: int, sums: dict[str, _Sums]) -> None:
        initial = [value for each in sums.values() for value in each.initial]

        def body(c: str, carried: list[str]) -> list[str]:
            left = list(carried)
            for each in sums.values():
                each.values, left = left[: len(each.initial)], left[len(each.initial) :]
            pieces = _Lanes(self, c, width)
            Sweep(self.text, self.block, width, pieces).run({b: each.add for b, each in sums.items()} or pieces.lane_sums())
            pieces.finish()
            return [value for each in sums.values() for value in each.values]

        results = self.text.loop(str(first), str(stop), width, body, initial, self.text.vector(width))
        for b, each in sums.items():
            each.values, results = results[: len(each.initial)], results[len(each.initial) :]
            each.finish(b)

    def _hoist(self, b: str) -> str:
        """M[i, k] = sum_j C[i, j, k] b[j], scalars in scratch memory."""
        row, place = self.emitter.rows[b], self.block.b
        values = [self.text.load(self.text.at(row, self.text.index(self.s, place.loop, place.start + j))) for j in range(place.size)]
        matrix = self.text.at("%scratch", str(self.emitter.scratch.take(len(self.block.pairs))))
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


class _Sums:
    """Gradients of b while the lanes go by: M[i, k] in registers where they fit, else b[j]; in the end b[j] by lane."""

    def __init__(self, turn: _Turn, width: int) -> None:
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
        emitter, widest = self.turn.emitter, self.turn.emitter.widest
        base = self.text.at("%scratch", str(emitter.lane_sums[b, self.block.b.start]))
        start = self.text.at(base, self.text.index(self.turn.s, self.block.b.size * widest if self.block.loops > 1 else 0))
        for j, value in enumerate(self.values):
            place = self.text.at(start, str(j * widest))
            self.text.store(place, self.text.add(self.text.load(place, self.width), value, self.width), self.width)


class _Lanes:
    """See `Pieces`: lanes from c on."""

    def __init__(self, turn: _Turn, c: str, width: int) -> None:
        self.turn, self.c, self.width = turn, c, width
        self.text, self.block, self.emitter = turn.text, turn.block, turn.emitter
        self._matrices: dict[tuple[str, Pair], str] = {}
        self._components: dict[str, list[str]] = {}
        self._gradients: dict[str, list[str]] = {}

    def _address(self, role: str, operand: str) -> str:
        place = self.block.place(role)
        index = self.text.index(self.c, place.lane, place.start)
        if place.loop and self.block.loops > 1:
            index = self.text.sum_index(self.text.index(self.turn.s, place.loop), index)
        return self.text.at(self.emitter.rows[operand], index)

    def read(self, role: str, operand: str) -> list[str]:
        """See `Pieces.read`."""
        if role == "a" and operand in self.turn.group.read_from:
            return self.turn.group.components(self.turn.group.read_from[operand], self.c, self.width)
        address = self._address(role, operand)
        if role == "w":
            return [load_strided(self.text, address, self.block.place("w").lane, self.width)]
        return load_components(self.text, address, self.block.place(role).size, self.width)

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
            self.turn.group.add_components(operand, self.c, self.width, components, add)
        elif role == "w":
            stride = self.block.place("w").lane
            store_strided(self.text, self._address("w", operand), stride, components[0], self.width, add)
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
