"""A contraction, or its first or second derivatives, as one LLVM function over a range of units of channels.

Channels do not meet, so threads share nothing. For each element of a unit: coefficients from the weights, then all entries of
that element, pairs of a node and its y, then the gradients of weights. Nodes may turn up in several entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from tpregistry.contraction import Table
from tpregistry.native import Machine, Written
from tpregistry.native.entry import module
from tpregistry.native.lanes import load_components, store_components
from tpregistry.native.text import Text
from tpregistry.problem import Problem
from tpregistry_cg.contraction import coefficients
from tpregistry_cg.contraction.horner import trees
from tpregistry_cg.contraction.polynomial import Value, Walk, multiply_add

ENTRIES = ("bounds", "rows", "values")
"""Where the entries of each element begin; the node of each, and its y."""


@dataclass(frozen=True)
class Form:
    """Which function: ``order`` of derivatives; ``weights``: with gradients of weights, and at order 2 with a direction in w
    and y as well as in x."""

    order: int
    weights: bool = False

    @property
    def rows(self) -> tuple[str, ...]:
        """Inputs with a row for each node."""
        return ("x", "g", "a")[: self.order + 1]

    @property
    def arrays(self) -> tuple[str, ...]:
        """All other memory."""
        outputs = (("out",), ("dx", "dy"), ("ddx", "ddy", "ddw", "ddg"))[self.order]
        more = () if not self.weights else ((), ("dw",), ("c", "b"))[self.order]
        return (*ENTRIES, "w", *outputs, *more)


class Sweep:
    """The text of one form for one problem and machine."""

    def __init__(self, problem: Problem, table: Table, form: Form, machine: Machine) -> None:
        self.problem, self.table, self.form = problem, table, form
        self.text, self.trees = Text(machine.real), trees(table, problem.irreps_out.dim // problem.channels)
        self.width = gcd(problem.channels, machine.lanes)
        self.components = problem.irreps_in1.dim // problem.channels
        self.paths = problem.weight_numel // problem.channels // problem.irreps_in2.dim
        self._gradient = {1: "dw" if form.weights else "", 2: "ddw"}.get(form.order, "")

    def written(self) -> Written:
        """The module, for threads that share units."""
        text = self.text
        text.loop("%begin", "%end", 1, self._unit)
        tables = coefficients.constants(self.table, text)
        source = module(text, len(self.form.rows), self.form.arrays, tables)
        size = sum(tree.size for tree in self.trees)
        outline = f"{self.problem}: order {self.form.order}, {len(self.table)} monomials, {size} branches, {self.width} lanes"
        scratch = 3 * len(self.table) * self.width
        return Written(source, scratch, size * (0.5, 2.0, 5.0)[self.form.order], outline)

    def _unit(self, unit: str, _: list[str]) -> list[str]:
        text = self.text
        channel = text.index(unit, self.width)

        def of_element(element: str, _: list[str]) -> list[str]:
            first, stop = (text.load_index("%bounds", text.index(element, 1, offset), "i64") for offset in (0, 1))
            some = text.let(f"zext i1 {text.let(f'icmp slt i64 {first}, {stop}')} to i64")
            text.loop("0", some, 1, lambda *_: self._element(unit, channel, element, first, stop))
            return []

        text.loop("0", str(self.problem.irreps_in2.dim), 1, of_element)
        return []

    def _element(self, unit: str, channel: str, element: str, first: str, stop: str) -> list[str]:
        """All entries of an element."""
        text, count = self.text, len(self.table)
        own, moved, gradients = (text.at("%scratch", str(n * count * self.width)) for n in range(3))
        coefficients.gather(text, count, self._weights("w", element, channel), self.problem.channels, own, self.width)
        if self.form.order == 2 and self.form.weights:
            coefficients.gather(text, count, self._weights("c", element, channel), self.problem.channels, moved, self.width)
        if self._gradient:
            self._clear(gradients, count)
        memory = own, moved, gradients
        text.loop(first, stop, 1, lambda entry, _: self._entry(unit, channel, entry, memory))
        if self._gradient:
            target = self._weights(self._gradient, element, channel)
            coefficients.scatter(text, count, gradients, self.problem.channels, target, self.width)
        return []

    def _clear(self, memory: str, count: int) -> None:
        zero = self.text.constants(0.0, self.width)

        def clear(place: str, _: list[str]) -> list[str]:
            self.text.store(self._at(memory, place), zero, self.width)
            return []

        self.text.loop("0", str(count * self.width), self.width, clear)

    def _at(self, pointer: str, index: str) -> str:
        return self.text.at(pointer, index)

    def _weights(self, name: str, element: str, channel: str) -> str:
        """Of an element and a unit of channels."""
        offset = self.text.index(element, self.paths * self.problem.channels)
        return self._at(f"%{name}", self.text.sum_index(offset, channel))

    def _entry(self, unit: str, channel: str, entry: str, memory: tuple[str, str, str]) -> list[str]:
        row = self.text.load_index("%rows", entry, "i64")
        walk = self._walk(row, channel, memory)
        (self._forward, self._backward, self._twice)[self.form.order](walk, Entry(unit, channel, entry, row))
        return []

    def _walk(self, row: str, channel: str, memory: tuple[str, str, str]) -> Walk:
        text, width = self.text, self.width

        def read(pointer: str, number: int) -> str:
            return text.load(text.at(pointer, str(number * width)), width)

        def add(number: int, value: str) -> None:
            place = text.at(memory[2], str(number * width))
            text.store(place, text.add(text.load(place, width), value, width), width)

        walk = Walk(text, width, self._components(0, row, channel), lambda number: read(memory[0], number))
        if self.form.order == 2:
            walk.tangents = self._components(2, row, channel)
        if self.form.order == 2 and self.form.weights:
            walk.moved = lambda number: read(memory[1], number)
        walk.add = add if self._gradient else None
        return walk

    def _components(self, operand: int, row: str, channel: str) -> list[str]:
        """Of a row of x."""
        return load_components(self.text, self._place(f"%p{operand}", f"%s{operand}", row, channel), self.components, self.width)

    def _place(self, pointer: str, stride: str, row: str, channel: str) -> str:
        start = self.text.let(f"mul nsw i64 {row}, {stride}")
        return self._at(pointer, self.text.sum_index(start, self.text.index(channel, self.components)))

    def _pieces(self, pointer: str, stride: str, row: str, channel: str) -> list[tuple[str, int]]:
        """Where the irreps of a row of the output lie, and how many components each has."""
        start = self.text.let(f"mul nsw i64 {row}, {stride}")
        found = []
        for offset, item in zip(self.problem.irreps_out.offsets, self.problem.irreps_out, strict=True):
            size = 2 * item.l + 1
            found.append((self._at(pointer, self.text.sum_index(start, self.text.index(channel, size, offset))), size))
        return found

    def _cotangents(self, at: Entry) -> list[str]:
        pieces = self._pieces("%p1", "%s1", at.row, at.channel)
        return [value for address, size in pieces for value in load_components(self.text, address, size, self.width)]

    def _number(self, name: str, at: Entry) -> str:
        """A scalar of an entry in all lanes."""
        return self.text.splat(self.text.load(self._at(f"%{name}", at.entry)), self.width)

    def _forward(self, walk: Walk, at: Entry) -> None:
        y = self._number("values", at)
        self._put_out("out", [self._times(walk.value(tree), y) for tree in self.trees], at)

    def _backward(self, walk: Walk, at: Entry) -> None:
        y, total = self._number("values", at), None
        gradients: list[Value] = [None] * self.components
        for tree, g in zip(self.trees, self._cotangents(at), strict=True):
            self.text.cut()
            total = self._fused(g, walk.value(tree), total)
            walk.gradient(tree, self._times(g, y), gradients)
        self._put_in("dx", gradients, at)
        self._put_sum("dy", total, at)

    def _twice(self, walk: Walk, at: Entry) -> None:
        y, total, out = self._number("values", at), None, []
        b = self._number("b", at) if self.form.weights else None
        gradients: list[Value] = [None] * self.components
        for tree, g in zip(self.trees, self._cotangents(at), strict=True):
            self.text.cut()
            value, dot = walk.value(tree), walk.dot(tree)
            out.append(self._fused(value, b, self._times(dot, y)))
            total = self._fused(g, dot, total)
            walk.gradient_of_dot(tree, self._times(g, y), self._times(g, b), gradients)
        self._put_in("ddx", gradients, at)
        self._put_sum("ddy", total, at)
        self._put_out("ddg", out, at)

    def _fused(self, left: Value, right: Value, total: Value) -> Value:
        return multiply_add(self.text, left, right, total, self.width)

    def _times(self, left: Value, right: Value) -> Value:
        return self._fused(left, right, None)

    def _put_in(self, name: str, values: list[Value], at: Entry) -> None:
        """Add to a row of a gradient by x."""
        address = self._place(f"%{name}", str(self.problem.irreps_in1.dim), at.row, at.channel)
        store_components(self.text, address, self._whole(values), self.width, add=True)

    def _put_out(self, name: str, values: list[Value], at: Entry) -> None:
        """Add to a row of the output, or of the gradient by a cotangent of it."""
        whole = self._whole(values)
        for address, size in self._pieces(f"%{name}", str(self.problem.irreps_out.dim), at.row, at.channel):
            store_components(self.text, address, whole[:size], self.width, add=True)
            whole = whole[size:]

    def _put_sum(self, name: str, value: Value, at: Entry) -> None:
        """One number for an entry and a unit of channels; the units are added up outside."""
        count = self.text.load_index("%bounds", str(self.problem.irreps_in2.dim), "i64")
        place = self.text.sum_index(self.text.let(f"mul nsw i64 {at.unit}, {count}"), at.entry)
        total = self.text.total(self._whole([value])[0], self.width)
        self.text.store(self._at(f"%{name}", place), total)

    def _whole(self, values: list[Value]) -> list[str]:
        return [self.text.constants(0.0, self.width) if value is None else value for value in values]


@dataclass(frozen=True)
class Entry:
    """Where the code is: a unit and its first channel, an entry and its node."""

    unit: str
    channel: str
    entry: str
    row: str
