"""Symmetric contractions for tests: coefficients made by coupling irreps one after another, as models have them, or drawn."""

from __future__ import annotations

import numpy as np

from tpregistry.contraction import symmetric_contraction
from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.problem import Problem
from tpregistry.so3 import rounded_wigner_3j

Tensors = list[list[np.ndarray]]


def contraction(
    irreps_in: str, irreps_out: str, correlation: int, channels: int = 4, elements: int = 2, dtype: str = "float64"
) -> Problem:
    """Of irreps such as "0e+1o", each in so many copies."""
    signal, out = Irreps.parse(irreps_in), Irreps.parse(irreps_out)
    return of_tensors(coupled(signal, out, correlation), signal, out, channels, elements, dtype)


def of_tensors(tensors: Tensors, signal: Irreps, out: Irreps, channels: int, elements: int, dtype: str = "float64") -> Problem:
    copies = [Irreps(tuple(MulIrrep(channels, item.l, item.p) for item in rep)) for rep in (signal, out)]
    return symmetric_contraction(copies[0], copies[1], elements, tensors, dtype).at(batch=16)


def coupled(signal: Irreps, out: Irreps, correlation: int) -> Tensors:
    """For each irrep of the output and each power all ways to get there; not symmetric, as nobody asks for that."""
    powers: list[list[tuple[MulIrrep, np.ndarray]]] = [_first(signal)]
    for _ in range(1, correlation):
        powers.append([pair for item, tensor in powers[-1] for pair in _times(item, tensor, signal)])
    return [
        [_stacked([t for item, t in power if item[1:] == wanted[1:]], wanted, signal.dim, n) for n, power in enumerate(powers, 1)]
        for wanted in out
    ]


def _first(signal: Irreps) -> list[tuple[MulIrrep, np.ndarray]]:
    return [(item, np.eye(signal.dim)[place]) for item, place in zip(signal, signal.slices(), strict=True)]


def _times(item: MulIrrep, tensor: np.ndarray, signal: Irreps) -> list[tuple[MulIrrep, np.ndarray]]:
    found = []
    for other, place in zip(signal, signal.slices(), strict=True):
        for l in range(abs(item.l - other.l), item.l + other.l + 1):
            product = np.einsum(
                "i...,jb,ijk->k...b", tensor, np.eye(signal.dim)[place], rounded_wigner_3j(item.l, other.l, l, "exact")
            )
            found.append((MulIrrep(1, l, item.p * other.p), product))
    return found


def _stacked(tensors: list[np.ndarray], wanted: MulIrrep, width: int, power: int) -> np.ndarray:
    """As in MACE there is a path of zeros where there is no other."""
    return np.stack(tensors or [np.zeros((2 * wanted.l + 1, *[width] * power))], axis=-1)
