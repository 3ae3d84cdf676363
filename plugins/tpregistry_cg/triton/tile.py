"""Where the numbers of a program lie: rows of its samples, channels in its lanes, and what moves between them and memory.

Lanes are one-dimensional, so that Triton has one layout to think of: with one sample a channel each, and what all channels
share is a scalar; with several samples all channels of the first, then of the next.
"""

from __future__ import annotations

from tpregistry.plan import Plan
from tpregistry.plan.schedule import Place
from tpregistry_cg.triton.form import Form
from tpregistry_cg.triton.passes import Target
from tpregistry_cg.triton.text import ZERO, Text


class Tile:
    """Loads, stores and sums over lanes for ``samples`` at once, written into a text."""

    def __init__(self, text: Text, plan: Plan, real: str, samples: int, form: Form) -> None:
        self.text, self.plan, self.real, self.samples, self.form = text, plan, real, samples, form
        self.number = {operand.name: n for n, operand in enumerate(plan.inputs + plan.outputs)}
        self.operand = {operand.name: operand for operand in plan.inputs + plan.outputs}
        self.rows: dict[str, str] = {}
        self._known: dict[object, str] = {}

    def begin(self, **rows: str) -> None:
        """Another sample, or others: names of their rows at each site, ``""`` for those of samples themselves."""
        self.rows, self._known = {"": rows.pop("sample"), **rows}, {}

    def once(self, key: object, expression: str) -> str:
        """A value that several terms of a sample need."""
        if key not in self._known:
            self._known[key] = self.text.let(expression)
        return self._known[key]

    def spread(self, lanes: int) -> int:
        """Lanes of a value that all channels of a sample share: none, a scalar, where there is one sample."""
        return power(lanes) if self.samples > 1 else 0

    def shape(self, lanes: int) -> str:
        """Of a value with these channels."""
        return f"[{self.samples * power(lanes)}]"

    def columns(self, lanes: int) -> str:
        """The channel of each lane."""
        width = power(lanes)
        turn = f" % {width}" if self.samples > 1 else ""
        return self.once(("columns", width), f"tl.arange(0, {self.samples * width}){turn}")

    def load(self, name: str, place: Place, s: int, component: int, lanes: int) -> str:
        """A number of each lane, or one that all channels of a sample share."""
        start, wide = place.start + s * place.loop + component, bool(place.lane)
        key = "load", name, start, place.lane, lanes if wide else self.spread(lanes)
        address = f"{self._row(name, lanes)} + {start}" + (f" + {place.lane} * {self.columns(lanes)}" if wide else "")
        return self.once(key, f"tl.load({address}{self._masked(lanes, wide, 'other=0.0')}).to(tl.{self.real})")

    def total(self, value: str, lanes: int) -> str:
        """The sum over a sample's channels."""
        if self.samples == 1:
            return self.text.let(f"tl.sum({value}, 0)")
        return self.text.let(f"tl.sum(tl.reshape({value}, [{self.samples}, {power(lanes)}]), 1)")

    def over_samples(self, value: str, target: Target) -> str:
        """The sum over samples of what each lane has, or each sample."""
        if self.samples == 1:
            return value
        width = power(target.lanes) if target.lane else 1
        return self.text.let(f"tl.sum(tl.reshape({value}, [{self.samples}, {width}]), 0)")

    def alone(self, row: str) -> Tile:
        """The same for one row."""
        tile = Tile(self.text, self.plan, self.real, 1, self.form)
        tile.begin(sample=row, sender=row, receiver=row)
        return tile

    def store(self, target: Target, values: list[str], adds: bool) -> None:
        """The components of a target, or one number of each sample for all lanes; ``adds`` to what is there."""
        lanes = target.lanes if target.lane else 1
        row = self._row(target.operand, lanes)
        columns = f" + {target.lane} * {self.columns(lanes)}" if target.lane else ""
        if target.lane and target.size > 1 and self.form.tiles:
            self._store_tile(f"{row} + {target.start}", target, values, adds)
            return
        for j, value in enumerate(values):
            self._put(f"{row} + {target.start + j}{columns}", value, self._masked(lanes, bool(target.lane)), target, adds)

    def _store_tile(self, address: str, target: Target, values: list[str], adds: bool) -> None:
        """Components side by side, a power of two of them, in the order in which they lie in memory."""
        size, width = power(target.size), self.samples * power(target.lanes)
        zero = self.once(("zero", width), f"tl.zeros([{width}], tl.{self.real})")
        values = [zero if value == ZERO else value for value in values] + [zero] * (size - target.size)
        joined = self.text.let(f"tl.reshape({_joined(values)}, [{width}, {size}])")
        k = self.once(("components", size), f"tl.arange(0, {size})[None, :]")
        place = self._column(address, target)
        mask = [f"{k} < {target.size}"] if size > target.size else []
        lanes = self._mask(target.lanes, True)
        mask += [f"({lanes})[:, None]"] if lanes else []
        self._put(f"{place} + {k}", joined, f", mask={' & '.join(f'({m})' for m in mask)}" if mask else "", target, adds)

    def store_row(self, operand: str, start: int, count: int, value: str, adds: bool) -> None:
        """Numbers of each sample that lie side by side: ``value`` has a power of two of them."""
        target, size = Target(operand, start, 0, 1, count), power(count)
        k = self.once(("components", size), f"tl.arange(0, {size})[None, :]")
        column = "[:, None]" if self.samples > 1 else ""
        samples = self._mask(1, False)
        mask = [f"{k} < {count}"] * (size > count) + [f"({samples})[:, None]"] * bool(samples)
        masked = f", mask={' & '.join(f'({m})' for m in mask)}" if mask else ""
        self._put(f"({self._row(operand, 1)} + {start}){column} + {k}", value, masked, target, adds)

    def _column(self, address: str, target: Target) -> str:
        return self.text.let(f"({address} + {target.lane} * {self.columns(target.lanes)})[:, None]")

    def _put(self, address: str, value: str, mask: str, target: Target, adds: bool) -> None:
        place = self.text.let(address)
        if self.form.atomic and self.operand[target.operand].site:
            if value != ZERO:
                self.text.do(f"tl.atomic_add({place}, {value}{mask}, sem='relaxed')")
            return
        before = f"tl.load({place}{mask}{', other=0.0' if mask else ''}).to(tl.{self.real}) + " if adds else ""
        self.text.do(f"tl.store({place}, {before}{value}{mask})")

    def _row(self, name: str, lanes: int) -> str:
        """The address of each lane's row; one address where it is the same for all."""
        n, operand = self.number[name], self.operand[name]
        if operand in self.plan.inputs and not operand.batched:
            return f"p{n}"
        return self.once(("row", name, self.spread(lanes)), f"p{n} + {self.sample(operand.site, lanes)} * s{n}")

    def sample(self, site: str, lanes: int) -> str:
        """The row of each lane's sample at a site."""
        row, width = self.rows[site], power(lanes)
        if self.samples == 1:
            return row
        z = self.once(("z", width), f"{self.rows['']} + tl.arange(0, {self.samples * width}) // {width}")
        if not site:
            return z
        return self.once((site, width), f"tl.load({row} + {z}, mask={z} < count, other=0).to(tl.int64)")

    def _mask(self, lanes: int, wide: bool) -> str:
        """Which lanes are there."""
        found = [f"{self.columns(lanes)} < {lanes}"] if wide and power(lanes) > lanes else []
        found += [f"{self.sample('', lanes)} < count"] if self.samples > 1 else []
        return self.once(("mask", lanes, wide), " & ".join(f"({one})" for one in found)) if found else ""

    def _masked(self, lanes: int, wide: bool, other: str = "") -> str:
        mask = self._mask(lanes, wide)
        return f", mask={mask}" + (f", {other}" if other else "") if mask else ""


def _joined(values: list[str]) -> str:
    """Values as the last axes of one, the first axis of these their highest bit."""
    return values[0] if len(values) == 1 else f"tl.join({_joined(values[::2])}, {_joined(values[1::2])})"


def power(count: int) -> int:
    """The power of two that is not less: what Triton has tensors of."""
    return 1 << max(0, count - 1).bit_length()
