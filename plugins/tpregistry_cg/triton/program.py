"""What one program does: its loop over samples or edges, what is carried through it, and when results are stored."""

from __future__ import annotations

from tpregistry.plan.orders import owner
from tpregistry_cg.triton.passes import Group, Target, Written, additions
from tpregistry_cg.triton.text import ZERO
from tpregistry_cg.triton.tile import Tile
from tpregistry_cg.triton.totals import store_totals, within_threads
from tpregistry_cg.triton.turn import Turn


class Program:
    """The body for some groups of blocks."""

    def __init__(self, tile: Tile, groups: list[Group], written: Written) -> None:
        self.tile, self.groups, self.text, self.written = tile, groups, tile.text, written
        self.graph = any(operand.site for operand in tile.operand.values())
        self.owner = "" if tile.form.atomic else owner(tile.plan)
        self.left: dict[Target, int] = {}
        self.sums: dict[Target, list[str]] = {}
        self.spread: dict[Target, dict[int, list[str]]] = {}
        for target in (target for group in groups for block in group for target in additions(block)):
            self.left[target] = self.left.get(target, 0) + 1

    def emit(self) -> None:
        """The loop, and what is carried through it."""
        carried = [target for target in self.left if self._carried(target)]
        own = [target for target in carried if self.tile.operand[target.operand].site]
        shared = [target for target in carried if target not in own]
        self._begin(shared)
        if self.owner and shared:
            with self.text.inside(f"for number in {self._range('tl.program_id(0), count, rows')}:"):
                self._node("number", own)
        elif self.owner:
            self._node("tl.program_id(0)", own)
        elif shared:
            self._in_turns()
        else:
            self._samples("tl.program_id(0)")
        self._put_away(shared)

    def _begin(self, targets: list[Target]) -> None:
        for target in targets:
            for name in self._names(target):
                self.text.do(f"{name} = tl.zeros({self._carried_shape(target)}, tl.{self.tile.real})")

    def _carried(self, target: Target) -> bool:
        operand = self.tile.operand[target.operand]
        return not operand.batched or bool(self.owner and operand.site == self.owner)

    def _names(self, target: Target) -> list[str]:
        return [f"sum{self.tile.number[target.operand]}_{target.start}_{j}" for j in range(target.size)]

    def _carried_shape(self, target: Target) -> str:
        return self.tile.shape(target.lanes) if target.lane or self.tile.samples > 1 else "[]"

    def _node(self, number: str, own: list[Target]) -> None:
        """The edges of a node, and its own row."""
        self._begin(own)
        self.text.do(f"node = tl.cast({number}, tl.int64)")
        self.text.do("begin = tl.load(first + node)")
        self.text.do("end = tl.load(first + node + 1)")
        with self.text.inside(f"for place in {self._range('begin, end')}:"):
            self.text.do("edge = tl.load(edges + place)")
            self.text.do("far = tl.load(other + place)")
            self._turns(sample="edge", **{site: "node" if site == self.owner else "far" for site in ("sender", "receiver")})
        self._put_away(own)

    def _in_turns(self) -> None:
        """Programs take every n-th block of samples, or node, where sums over all go to a row for each program: these are few."""
        blocks = self._range(f"tl.program_id(0), tl.cdiv(count, {self.tile.samples}), rows")
        with self.text.inside(f"for block in {blocks}:"):
            self._samples("block")

    def _range(self, bounds: str) -> str:
        stages = self.tile.form.stages
        return f"tl.range({bounds}, num_stages={stages})" if stages > 1 else f"range({bounds})"

    def _samples(self, block: str) -> None:
        """Those of a block: rows are counted in 64 bits."""
        self.text.do(f"z = tl.cast({block}, tl.int64) * {self.tile.samples}")
        if not self.graph or self.tile.samples > 1:
            self._turns(sample="z", sender="sender", receiver="receiver")
            return
        self.text.do("from_node = tl.load(sender + z).to(tl.int64)")
        self.text.do("to_node = tl.load(receiver + z).to(tl.int64)")
        self._turns(sample="z", sender="from_node", receiver="to_node")

    def _turns(self, **rows: str) -> None:
        self.tile.begin(**rows)
        for block in (block for group in self.groups for block in group):
            for s in range(block.loops):
                Turn(self, block, s).emit()
        store_totals(self.tile, self.spread, self.written)
        self.spread.clear()

    def add(self, target: Target, values: list[str]) -> None:
        """To what is written; stored when nothing more comes."""
        self.left[target] -= 1
        if self._carried(target):
            self._carry(target, values)
            return
        before = self.sums.get(target)
        self.sums[target] = values if before is None else [self.text.add(*pair) for pair in zip(before, values, strict=True)]
        self._finish(target)

    def running(self, target: Target, lanes: int) -> list[str]:
        """Sums of each lane, to be added to in place, of what will be summed over lanes when nothing more comes."""
        return self.spread.setdefault(target, {}).setdefault(lanes, [ZERO] * target.size)

    def ran(self, target: Target) -> None:
        """A block has added to the running sums. Of those that are stored, threads are summed over with all others of a sample."""
        self.left[target] -= 1
        if self.left[target]:
            return
        if self._carried(target) or not self.tile.form.tiles:
            self._total(target)
            return
        for lanes, values in self.spread[target].items():
            values[:] = [within_threads(self.tile, value, lanes) for value in values]

    def _total(self, target: Target) -> None:
        sums = [ZERO] * target.size
        for lanes, values in self.spread.pop(target).items():
            wholes = [value if value == ZERO else self.tile.total(value, lanes) for value in values]
            sums = [self.text.add(*pair) for pair in zip(sums, wholes, strict=True)]
        self._carry(target, sums) if self._carried(target) else self._store(target, sums)

    def _carry(self, target: Target, values: list[str]) -> None:
        for name, value in zip(self._names(target), values, strict=True):
            if value != ZERO:
                self.text.do(f"{name} += {value}")

    def _finish(self, target: Target) -> None:
        if not self.left[target]:
            self._store(target, self.sums.pop(target))

    def _store(self, target: Target, values: list[str]) -> None:
        self.tile.store(target, values, self.written.adds(target))

    def _put_away(self, targets: list[Target]) -> None:
        """What was carried: a node's row, or this program's row of sums over all that it went through."""
        for target in targets:
            row = "node" if self.tile.operand[target.operand].site else "tl.program_id(0).to(tl.int64)"
            values = [self.tile.over_samples(name, target) for name in self._names(target)]
            self.tile.alone(row).store(target, values, self.written.adds(target))
