"""Values multiplied at points, in registers: all targets from operands that are read once."""

from __future__ import annotations

from functools import cache

from tpregistry.native.text import Text
from tpregistry_gaunt.llvm.fields import Program, Summand, Value

Addresses = dict[str, dict[Value, str]]
"""Of the values of each operand, all of one length."""


def multiply(text: Text, program: Program, values: Addresses, count: int, widest: int) -> None:
    """Write ``count`` values of each target."""

    def turn(place: str, _: list[str]) -> list[str]:
        @cache
        def read(factor: tuple[str, Value]) -> str:
            return text.load(text.at(values[factor[0]][factor[1]], place), widest)

        for target, sums in program.sums.items():
            for value, summands in sums.items():
                total = None
                for summand in summands:
                    left, right = map(read, summand.factors)
                    total = text.multiply_add(_scaled(text, summand, left, widest), right, total, widest)
                text.store(text.at(values[target][value], place), str(total), widest)
        return []

    text.loop("0", str(count), widest, turn)


def _scaled(text: Text, summand: Summand, vector: str, width: int) -> str:
    return vector if summand.number == 1 else text.multiply_add(vector, text.constants(summand.number, width), None, width)
