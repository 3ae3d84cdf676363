"""A schedule as Triton kernels: a program owns some samples, or a node of a graph, and a lane of its tile a channel.

What a plan writes is put together in registers and stored once; see `passes` for where that takes several kernels. There are no
atomics: sums over lanes are trees within a program, sums over the edges of a node are made by the program that owns the node, in
their order, and sums over all samples go to a row per program, which the caller adds up.

``kernel(addresses and row strides of operands, [first, edges, other,] samples, programs)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tpregistry.plan import Operand, Plan
from tpregistry.plan.orders import ORDER, owner
from tpregistry.plan.schedule import Block, Place, Schedule
from tpregistry_cg.sweep import Sweep
from tpregistry_cg.triton.passes import Group, Target, Written, additions, parts, passes, target_of, targets
from tpregistry_cg.triton.text import ZERO, Text

TILE = 128
"""Numbers in a tile: samples times lanes, where there are fewer lanes than that."""


@dataclass(frozen=True)
class Pass:
    """One kernel: its name, how many programs side by side share a block of samples, samples in a block, lanes of its tiles."""

    name: str
    parts: int
    samples: int
    lanes: int


@dataclass(frozen=True)
class Emitted:
    """The source of a module, its kernels in the order in which they run, and the outputs that must be zeros before."""

    source: str
    passes: tuple[Pass, ...]
    cleared: frozenset[str]


def emit(schedule: Schedule, real: str) -> Emitted:
    """Write a schedule down; arithmetic is in ``real`` (float32, float64), whatever the operands are stored in."""
    found, source, written = [], [_HEAD], Written(schedule.plan)
    for number, groups in enumerate(passes(schedule)):
        side_by_side = list(parts(groups))
        lanes = _power(max(group[0].lanes for group in groups))
        one = Pass(f"sweep{number}", len(side_by_side), 1 if owner(schedule.plan) else max(1, TILE // lanes), lanes)
        written.next([target for group in groups for target in targets(group)])
        source += Kernel(schedule.plan, one, side_by_side, real, written).lines()
        found.append(one)
    return Emitted("\n".join([*source, ""]), tuple(found), written.cleared())


def _power(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()


class Kernel:
    """The source of one pass."""

    def __init__(self, plan: Plan, one: Pass, parts: list[list[Group]], real: str, written: Written) -> None:
        self.plan, self.one, self.parts, self.real, self.written = plan, one, parts, real, written
        self.operands = plan.inputs + plan.outputs
        self.owner = owner(plan)
        self.text = Text()

    def lines(self) -> list[str]:
        """The function."""
        names = [name for n in range(len(self.operands)) for name in (f"p{n}", f"s{n}")]
        names += [*ORDER] if self.owner else []
        for number, groups in enumerate(self.parts):
            with self.text.inside(f"if tl.program_id(1) == {number}:" if len(self.parts) > 1 else "if True:"):
                Part(self, groups).emit()
        sizes = f"SAMPLES: tl.constexpr = {self.one.samples}"
        return ["", "", "@triton.jit", f"def {self.one.name}({', '.join(names)}, count, rows, {sizes}):", *self.text.lines]


class Part:
    """What one program does."""

    def __init__(self, kernel: Kernel, groups: list[Group]) -> None:
        self.kernel, self.groups, self.text = kernel, groups, kernel.text
        self.number = {operand.name: n for n, operand in enumerate(kernel.operands)}
        self.operand: dict[str, Operand] = {operand.name: operand for operand in kernel.operands}
        self.left: dict[Target, int] = {}
        self.sums: dict[Target, list[str]] = {}
        self.known: dict[object, str] = {}
        for group in groups:
            for block in group:
                for target in additions(block):
                    self.left[target] = self.left.get(target, 0) + 1

    def emit(self) -> None:
        """The loop over samples or edges, and what is carried through it."""
        carried = [target for target in self.left if self._carried(target.operand)]
        for target in carried:
            shape = f"[SAMPLES, {_power(target.lanes)}]"
            names = [f"sum{self.number[target.operand]}_{target.start}_{j}" for j in range(target.size)]
            for name in names:
                self.text.do(f"{name} = tl.zeros({shape}, tl.{self.kernel.real})")
            self.sums[target] = names
        if self.kernel.owner:
            self._by_node()
        elif carried:
            self._in_turns()
        else:
            self.text.do("z = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)[:, None]")
            self.text.do("live = z < count")
            self._samples()
        for target in carried:
            self._put_away(target)

    def _carried(self, name: str) -> bool:
        operand = self.operand[name]
        return not operand.batched or bool(self.kernel.owner and operand.site == self.kernel.owner)

    def _by_node(self) -> None:
        self.text.do("node = tl.program_id(0).to(tl.int64)")
        self.text.do("begin = tl.load(first + node)")
        self.text.do("end = tl.load(first + node + 1)")
        with self.text.inside("for place in range(begin, end):"):
            self.text.do("edge = tl.load(edges + place) + tl.zeros([1, 1], tl.int64)")
            self.text.do("far = tl.load(other + place) + tl.zeros([1, 1], tl.int64)")
            self.text.do("own = node + tl.zeros([1, 1], tl.int64)")
            self.text.do("live = edge >= 0")
            self._samples()

    def _in_turns(self) -> None:
        """Programs take every n-th block of samples, so that there are few rows of sums."""
        with self.text.inside("for block in range(tl.program_id(0), tl.cdiv(count, SAMPLES), rows):"):
            self.text.do("z = (block * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)[:, None]")
            self.text.do("live = z < count")
            self._samples()

    def _samples(self) -> None:
        self.known = {}
        for group in self.groups:
            for block in group:
                for s in range(block.loops):
                    Turn(self, block, s).emit()

    def row(self, name: str) -> str:
        """The address of a row, or of a column of rows."""
        n, operand = self.number[name], self.operand[name]
        if not operand.batched:
            return f"p{n}"
        if not self.kernel.owner:
            return f"p{n} + z * s{n}"
        return f"p{n} + {'edge' if not operand.site else 'own' if operand.site == self.kernel.owner else 'far'} * s{n}"

    def lanes(self, count: int) -> tuple[str, str]:
        """Lanes as a row of a tile, and which of them are there."""
        width = _power(count)
        columns = self.once(("columns", width), f"tl.arange(0, {width})[None, :]")
        full = count == width
        return columns, self.once(("mask", count), "live" if full else f"live & ({columns} < {count})")

    def once(self, key: object, expression: str) -> str:
        """A value that several terms of one sample need."""
        if key not in self.known:
            self.known[key] = self.text.let(expression)
        return self.known[key]

    def load(self, name: str, place: Place, s: int, component: int, lanes: int) -> str:
        """A number of each lane, or one for all lanes."""
        start = place.start + s * place.loop + component
        key = "load", name, start, place.lane, lanes if place.lane else 0
        row = self.once(("row", name), self.row(name))
        if place.lane == 0:
            return self.once(key, f"tl.load({row} + {start}, mask=live, other=0.0).to(tl.{self.kernel.real})")
        columns, mask = self.lanes(lanes)
        return self.once(
            key, f"tl.load({row} + ({start} + {place.lane} * {columns}), mask={mask}, other=0.0).to(tl.{self.kernel.real})"
        )

    def add(self, target: Target, values: list[str]) -> None:
        """To what is written; stored when nothing more comes."""
        if self._carried(target.operand):
            for name, value in zip(self.sums[target], values, strict=True):
                if value != ZERO:
                    self.text.do(f"{name} += {value}")
            return
        before = self.sums.get(target)
        self.sums[target] = values if before is None else [self._sum(*pair) for pair in zip(before, values, strict=True)]
        self.left[target] -= 1
        if not self.left[target]:
            self._store(target, self.sums.pop(target))

    def _sum(self, left: str, right: str) -> str:
        return right if left == ZERO else left if right == ZERO else self.text.let(f"{left} + {right}")

    def _store(self, target: Target, values: list[str]) -> None:
        row = self.row(target.operand)
        if target.lane:
            columns, mask = self.lanes(target.lanes)
            shape = f"[SAMPLES, {_power(target.lanes)}]"
        else:
            columns, mask, shape = "0", "live", "[SAMPLES, 1]"
        for j, value in enumerate(values):
            place = self.text.let(f"{row} + ({target.start + j} + {target.lane} * {columns})")
            whole = f"tl.zeros({shape}, tl.{self.kernel.real}) + {value}"
            whole = (
                f"tl.load({place}, mask={mask}, other=0.0).to(tl.{self.kernel.real}) + {whole}"
                if self.kernel.written.adds(target)
                else whole
            )
            self.text.do(f"tl.store({place}, {whole}, mask={mask})")

    def _put_away(self, target: Target) -> None:
        """What was carried: a node's row, or this program's row of sums."""
        n = self.number[target.operand]
        row = "node" if self.operand[target.operand].site else "tl.program_id(0)"
        width = _power(target.lanes)
        columns = self.text.let(f"tl.arange(0, {width})")
        for j, name in enumerate(self.sums[target]):
            total = self.text.let(f"tl.sum({name}, 0)")
            place = self.text.let(f"p{n} + {row} * s{n} + {target.start + j} + {target.lane} * {columns}")
            whole = f"tl.load({place}, mask={columns} < {target.lanes}, other=0.0).to(tl.{self.kernel.real}) + {total}"
            whole = whole if self.kernel.written.adds(target) else total
            self.text.do(f"tl.store({place}, {whole}, mask={columns} < {target.lanes})")


class Turn:
    """One block for copy s of b; see `tpregistry_cg.sweep.Pieces`."""

    def __init__(self, part: Part, block: Block, s: int) -> None:
        self.part, self.block, self.s, self.text = part, block, s, part.text
        self.gradients: dict[str, list[str]] = {}

    def emit(self) -> None:
        """The arithmetic, then the gradients of b."""
        targets = dict.fromkeys(use.b for use in self.block.uses if use.target == "b")
        self.gradients = {operand: [ZERO] * self.block.b.size for operand in targets}
        sums = {operand: lambda pair, a, g, operand=operand: self._product(operand, pair, a, g) for operand in targets}
        Sweep(self.text, self.block, 0, self).run(sums)
        for operand, values in self.gradients.items():
            target = target_of(self.block, "b", operand, self.s)
            hoisted = self.block.hoisted
            totals = [v if v == ZERO or not hoisted else self.text.let(f"tl.sum({v}, 1)[:, None]") for v in values]
            self.part.add(target, totals)

    def read(self, role: str, operand: str) -> list[str]:
        """The components of a, out or w."""
        place = self.block.place(role)
        return [self.part.load(operand, place, self.s, i, self.block.lanes) for i in range(place.size)]

    def matrix(self, operand: str, pair: tuple[int, int]) -> str:
        """M[i, k]: sums of b's components, of a sample or of a lane."""
        place, terms = self.block.b, self.block.terms_of_pair(*pair)
        parts = [f"{c!r} * {self.part.load(operand, place, self.s, j, self.block.lanes)}" for j, c in terms]
        return self.part.once(("M", operand, place, self.s, id(self.block.coefficients), pair), " + ".join(parts))

    def write(self, role: str, operand: str, components: list[str]) -> None:
        """Add to a target."""
        self.part.add(target_of(self.block, role, operand, self.s), components)

    def _product(self, operand: str, pair: tuple[int, int], weighted: str, g: str) -> None:
        product = self.text.let(f"{weighted} * {g}")
        found = self.gradients[operand]
        for j, c in self.block.terms_of_pair(*pair):
            found[j] = self.text.let(f"{c!r} * {product}" if found[j] == ZERO else f"{c!r} * {product} + {found[j]}")


_HEAD = """import triton
import triton.language as tl"""
