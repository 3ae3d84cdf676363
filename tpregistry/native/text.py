"""LLVM IR as text: names, vectors over the lanes, loops with carried values. Nothing here knows of tensor products."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

Body = Callable[[str, list[str]], Sequence[str]]


class Text:
    """One function being written. Values are strings: SSA names or constants."""

    def __init__(self, real: str) -> None:
        self.real = real
        self.lines: list[str] = []
        self.label = "entry"
        self._count = 0
        self._intrinsics: set[str] = set()

    def vector(self, width: int) -> str:
        """The type of ``width`` lanes."""
        return f"<{width} x {self.real}>"

    def let(self, expression: str) -> str:
        """Name the value of an expression."""
        name = self._name("v")
        self.lines.append(f"  {name} = {expression}")
        return name

    def do(self, statement: str) -> None:
        """A statement without a value."""
        self.lines.append(f"  {statement}")

    def note(self, comment: str) -> None:
        """A line for readers."""
        self.lines.append(f"  ; {comment}")

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"%{prefix}{self._count}"

    def constant(self, value: float) -> str:
        """A number of the function's precision, exactly."""
        if self.real == "float":
            value = struct.unpack("f", struct.pack("f", value))[0]
        return "0x" + struct.pack(">d", value).hex().upper()

    def constants(self, value: float, width: int) -> str:
        """The same number in every lane."""
        return "<" + ", ".join([f"{self.real} {self.constant(value)}"] * width) + ">"

    def index(self, base: str, factor: int, offset: int = 0) -> str:
        """``base * factor + offset`` as i64."""
        if base.lstrip("-").isdigit():
            return str(int(base) * factor + offset)
        scaled = base if factor == 1 else self.let(f"mul nsw i64 {base}, {factor}")
        return scaled if offset == 0 else self.let(f"add nsw i64 {scaled}, {offset}")

    def sum_index(self, left: str, right: str) -> str:
        """The sum of two i64."""
        if left.isdigit() and right.isdigit():
            return str(int(left) + int(right))
        return left if right == "0" else right if left == "0" else self.let(f"add nsw i64 {left}, {right}")

    def at(self, pointer: str, index: str) -> str:
        """The address of an element."""
        return pointer if index == "0" else self.let(f"getelementptr {self.real}, ptr {pointer}, i64 {index}")

    def load(self, address: str, width: int = 0) -> str:
        """A scalar, or ``width`` adjacent numbers as a vector."""
        return self.let(f"load {self.vector(width) if width else self.real}, ptr {address}, align {self._bytes}")

    def load_index(self, pointer: str, place: str, kind: str) -> str:
        """An element of an array of i32 or i64, as i64."""
        found = self.let(f"load {kind}, ptr {self.let(f'getelementptr {kind}, ptr {pointer}, i64 {place}')}")
        return found if kind == "i64" else self.let(f"sext {kind} {found} to i64")

    def store(self, address: str, value: str, width: int = 0) -> None:
        """Inverse of `load`."""
        self.do(f"store {self.vector(width) if width else self.real} {value}, ptr {address}, align {self._bytes}")

    @property
    def _bytes(self) -> int:
        return 4 if self.real == "float" else 8

    def splat(self, scalar: str, width: int) -> str:
        """A scalar in every lane."""
        first = self.let(f"insertelement {self.vector(width)} poison, {self.real} {scalar}, i32 0")
        return self.shuffle(first, "poison", [0] * width, width)

    def shuffle(self, left: str, right: str, lanes: Sequence[int], width: int) -> str:
        """Lanes of two vectors of ``width`` (numbered through); -1 does not matter."""
        mask = ", ".join("i32 poison" if lane < 0 else f"i32 {lane}" for lane in lanes)
        kind = self.vector(width)
        return self.let(f"shufflevector {kind} {left}, {kind} {right}, <{len(lanes)} x i32> <{mask}>")

    def multiply_add(self, left: str, right: str, total: str | None, width: int = 0) -> str:
        """``left * right + total``, fused where the machine can; without a total the product."""
        kind = self.vector(width) if width else self.real
        if total is None:
            return self.let(f"fmul {kind} {left}, {right}")
        suffix = (f"v{width}" if width else "") + ("f32" if self.real == "float" else "f64")
        self._intrinsics.add(f"declare {kind} @llvm.fmuladd.{suffix}({kind}, {kind}, {kind})")
        return self.let(f"call {kind} @llvm.fmuladd.{suffix}({kind} {left}, {kind} {right}, {kind} {total})")

    def add(self, left: str, right: str, width: int) -> str:
        """The sum of two vectors."""
        return self.let(f"fadd {self.vector(width)} {left}, {right}")

    def total(self, vector: str, width: int) -> str:
        """The sum over the lanes, as a tree."""
        kind, suffix = self.vector(width), f"v{width}" + ("f32" if self.real == "float" else "f64")
        self._intrinsics.add(f"declare {self.real} @llvm.vector.reduce.fadd.{suffix}({self.real}, {kind})")
        zero = self.constant(-0.0)
        return self.let(f"call reassoc {self.real} @llvm.vector.reduce.fadd.{suffix}({self.real} {zero}, {kind} {vector})")

    def loop(
        self, start: str, stop: str, step: int, body: Body, initial: Sequence[str] = (), kind: str = "", some: bool = False
    ) -> list[str]:
        """Run ``body(index, carried values)`` for start, start + step, ... < stop; returns the carried values at the end.

        Bounds that are constants are known to give at least one turn, as are others where the caller knows of ``some``; a
        single turn is written without a loop.
        """
        constant = start.isdigit() and stop.isdigit()
        known = constant or some
        if constant and int(start) + step >= int(stop):
            return list(body(start, list(initial)))
        head, done, before = self._name("head")[1:], self._name("done")[1:], self.label
        if known:
            self.do(f"br label %{head}")
        else:
            begins = self.let(f"icmp slt i64 {start}, {stop}")
            self.do(f"br i1 {begins}, label %{head}, label %{done}")
        self._enter(head)
        place, index, carried = len(self.lines), self._name("i"), [self._name("c") for _ in initial]
        results = list(body(index, carried))
        following = self.let(f"add nsw i64 {index}, {step}")
        more = self.let(f"icmp slt i64 {following}, {stop}")
        self.do(f"br i1 {more}, label %{head}, label %{done}")
        phis = [f"  {index} = phi i64 [ {start}, %{before} ], [ {following}, %{self.label} ]"]
        for name, first, result in zip(carried, initial, results, strict=True):
            phis.append(f"  {name} = phi {kind} [ {first}, %{before} ], [ {result}, %{self.label} ]")
        self.lines[place:place] = phis
        self._enter(done)
        return results

    def cut(self) -> None:
        """End a basic block: compilers take a time that grows with the square of its length."""
        label = self._name("next")[1:]
        self.do(f"br label %{label}")
        self._enter(label)

    def _enter(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.label = label

    def declarations(self) -> list[str]:
        """The intrinsics that were used."""
        return sorted(self._intrinsics)
