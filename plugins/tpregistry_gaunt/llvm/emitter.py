"""A plan of products of fields as one LLVM function over a range of samples, a block of rows (sample, channel) at a time.

For each block: components of the operands are gathered, encoded into values at points, multiplied there, decoded, and put
into the rows of the targets. A block's values stay in cache. The last block goes over some rows twice rather than end early.
"""

from __future__ import annotations

import numpy as np

from tpregistry.native import Machine, Written
from tpregistry.native.entry import module
from tpregistry.native.matmul import ROWS, constant, matmul, padded
from tpregistry.native.text import Text
from tpregistry.plan import Operand, Plan
from tpregistry_gaunt.llvm.fields import Fields, Value
from tpregistry_gaunt.llvm.points import Addresses, multiply
from tpregistry_gaunt.llvm.program import program
from tpregistry_gaunt.llvm.rows import Rows

MULTIPLICATIONS = 32
"""Per nanosecond and core, roughly."""


def write(fields: Fields, plan: Plan, machine: Machine) -> Written:
    """The plan of a product, or of a derivative of it, for a machine."""
    block = Block(fields, plan, machine)
    source = block.function()
    outline = f"{str(plan).partition(chr(10))[0]}\n{fields.points} points, blocks of {ROWS} rows, {fields.channels} to a sample"
    return Written(source, block.taken, block.multiplications * fields.channels / MULTIPLICATIONS, outline)


class Block:
    """The code for a block of rows, inside the loop over blocks."""

    def __init__(self, fields: Fields, plan: Plan, machine: Machine) -> None:
        self.fields, self.plan, self.lanes = fields, plan, machine.lanes
        self.text, self.program = Text(machine.real), program(fields, plan)
        self.points = padded(fields.points, self.lanes)
        self.taken, self.multiplications = 0, 0
        self._tables: dict[tuple[int, Value, bool], str] = {}
        self._numbers = {operand.name: n for n, operand in enumerate(plan.inputs + plan.outputs)}

    def function(self) -> str:
        """The whole module."""
        first, stop = (self.text.index(bound, self.fields.channels) for bound in ("%begin", "%end"))
        last = self.text.index(stop, 1, -1)
        self.text.loop(first, stop, ROWS, lambda row, _: self._block(row, last))
        return module(self.text, len(self._numbers), (), list(self._tables.values()))

    def _block(self, first: str, last: str) -> list[str]:
        rows = Rows(self.text, first, last, self.fields.channels, self.lanes)
        packed = self._take(max((operand.size for operand in self.plan.inputs + self.plan.outputs), default=0))
        values: Addresses = {}
        for operand in self.plan.inputs:
            values[operand.name] = self._encoded(rows, operand, packed)
        for target, sums in self.program.sums.items():
            values[target] = {value: self._take(self.points) for value in sums}
        multiply(self.text, self.program, values, ROWS * self.points, self.lanes)
        for operand in self.plan.outputs:
            self._decode(rows, operand, values[operand.name], packed)
        return []

    def _take(self, columns: int) -> str:
        """Scratch memory for a matrix of the block."""
        start, self.taken = self.taken, self.taken + ROWS * padded(columns, self.lanes)
        return self.text.at("%scratch", str(start))

    def _encoded(self, rows: Rows, operand: Operand, packed: str) -> dict[Value, str]:
        """The values of an operand that anything asks for."""
        slot, found = self.program.slots.get(operand.name, 0), {}
        wanted = sorted(value for name, value in self.program.read if name == operand.name)
        for key, members in self.fields.groups[slot].items():
            of_key = [value for value in wanted if value[0] == key]
            length = self.fields.length(slot, key)
            if of_key:
                rows.gather(self._numbers[operand.name], self.fields.irreps[slot], members, packed, length)
            for value in of_key:
                found[value] = self._take(self.points)
                table = self._table(slot, value, encodes=True)
                self._matmul([(packed, table, length)], found[value], self.points)
        return found

    def _decode(self, rows: Rows, operand: Operand, values: dict[Value, str], packed: str) -> None:
        """The whole row of a target; zeros where nothing leads."""
        number, slot = self._numbers[operand.name], self.program.slots.get(operand.name)
        if slot is None:
            rows.blank(number, operand.size // self.fields.channels)
            return
        irreps = self.fields.irreps[slot]
        for key, members in self.fields.groups[slot].items():
            length = padded(self.fields.length(slot, key), self.lanes)
            factors = [(at, self._table(slot, v, encodes=False), self.points) for v, at in values.items() if v[0] == key]
            if factors:
                self._matmul(factors, packed, length)
                rows.scatter(number, irreps, members, packed, length)
            else:
                rows.clear(number, irreps, members)

    def _matmul(self, factors: list[tuple[str, str, int]], out: str, columns: int) -> None:
        self.multiplications += columns * sum(inner for _, _, inner in factors)
        matmul(self.text, factors, out, columns, self.lanes)

    def _table(self, slot: int, value: Value, encodes: bool) -> str:
        """The address of a table, with columns of zeros that fill the vectors."""
        key = slot, value, encodes
        if key not in self._tables:
            table = np.zeros((self.fields.length(slot, value[0]), self.points))
            table[:, : self.fields.points] = self.fields.matrix(slot, value)
            table = table if encodes else table.T
            wide = np.zeros((len(table), padded(table.shape[1], self.lanes)))
            wide[:, : table.shape[1]] = table
            self._tables[key] = constant(f"table{len(self._tables)}", wide, self.text.real)
        return "@table" + str(list(self._tables).index(key))
