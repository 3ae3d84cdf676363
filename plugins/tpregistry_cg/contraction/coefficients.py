"""Coefficients of monomials put together from weights, once for an element, and gradients by them taken apart again.

Tables of which paths lead to a monomial are constants of the module: they would be far too many instructions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tpregistry.contraction import Table
from tpregistry.native.text import Text

Put = Callable[[str, list[str]], None]


def constants(table: Table, text: Text) -> list[str]:
    """Definitions of the tables."""
    numbers = ", ".join(f"{text.real} {text.constant(value)}" for value in table.values)
    values = f"@values = private unnamed_addr constant [{len(table.values)} x {text.real}] [{numbers}]"
    return [_indices("starts", table.starts), _indices("paths", table.paths), values]


def _indices(name: str, array: np.ndarray) -> str:
    return f"@{name} = private unnamed_addr constant [{len(array)} x i32] [{', '.join(f'i32 {n}' for n in array)}]"


def gather(text: Text, monomials: int, weights: str, channels: int, into: str, width: int) -> None:
    """``into[m] = sum over p of U_mp weights[p]``, vectors of ``width`` lanes; a row of weights has so many channels."""

    def of_monomial(m: str, _: list[str]) -> list[str]:
        def of_path(place: str, total: list[str]) -> list[str]:
            vector = text.load(_row(text, weights, place, channels), width)
            return [text.multiply_add(_factor(text, place, width), vector, total[0], width)]

        (total,) = _over_paths(text, m, of_path, [text.constants(0.0, width)], text.vector(width))
        text.store(text.at(into, text.index(m, width)), total, width)
        return []

    text.loop("0", str(monomials), 1, of_monomial)


def scatter(text: Text, monomials: int, gradients: str, channels: int, weights: str, width: int) -> None:
    """The transpose: ``weights[p] += sum over m of U_mp gradients[m]``."""

    def of_monomial(m: str, _: list[str]) -> list[str]:
        gradient = text.load(text.at(gradients, text.index(m, width)), width)

        def of_path(place: str, _: list[str]) -> list[str]:
            address = _row(text, weights, place, channels)
            text.store(address, text.multiply_add(_factor(text, place, width), gradient, text.load(address, width), width), width)
            return []

        _over_paths(text, m, of_path, [], "")
        return []

    text.loop("0", str(monomials), 1, of_monomial)


def _over_paths(text: Text, m: str, body: Callable[[str, list[str]], list[str]], initial: list[str], kind: str) -> list[str]:
    first, stop = (text.load_index("@starts", text.index(m, 1, offset), "i32") for offset in (0, 1))
    return text.loop(first, stop, 1, body, initial, kind, some=True)


def _factor(text: Text, place: str, width: int) -> str:
    return text.splat(text.load(text.at("@values", place)), width)


def _row(text: Text, weights: str, place: str, channels: int) -> str:
    return text.at(weights, text.index(text.load_index("@paths", place, "i32"), channels))
