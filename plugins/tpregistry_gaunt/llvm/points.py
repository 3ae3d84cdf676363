"""Values multiplied at points, in registers: all targets from operands that are read once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tpregistry.native.text import Text
from tpregistry_gaunt.llvm.fields import Value
from tpregistry_gaunt.llvm.program import Factor, Program, Summand

Addresses = dict[str, dict[Value, str]]
"""Of the values of each operand, all of one length."""


def multiply(text: Text, program: Program, values: Addresses, count: int, widest: int) -> None:
    """Write ``count`` values of each target."""

    def turn(place: str, _: list[str]) -> list[str]:
        @cache
        def read(factors: tuple[Factor, ...]) -> str:
            *before, (operand, value) = factors
            last = text.load(text.at(values[operand][value], place), widest) if not before else read(factors[-1:])
            return text.multiply_add(read(tuple(before)), last, None, widest) if before else last

        for target, sums in program.sums.items():
            for value, summands in sums.items():
                total = None
                for summand in summands:
                    left, right = _two(text, summand, read, widest)
                    total = text.multiply_add(left, right, total, widest)
                text.store(text.at(values[target][value], place), str(total), widest)
        return []

    text.loop("0", str(count), widest, turn)


def _two(text: Text, summand: Summand, read: Callable[[tuple[Factor, ...]], str], width: int) -> tuple[str, str]:
    """What a summand multiplies last: its number and all else, or where that is 1 the last factor and those before."""
    *before, last = summand.factors
    if summand.number == 1 and before:
        return read(tuple(before)), read((last,))
    return read(summand.factors), text.constants(summand.number, width)
