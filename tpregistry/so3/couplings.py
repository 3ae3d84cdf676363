"""Coefficients of products that are made of 3j tensors, with their signs in this basis: by contraction.

Their magnitudes have closed forms (`symbols.matrix_product`, `symbols.vector_signal`), which the tests compare.
"""

from __future__ import annotations

from functools import cache
from math import sqrt

import numpy as np

from tpregistry.so3.clebsch_gordan import Array, wigner_3j
from tpregistry.so3.symbols import gaunt

LARGEST = 2**27
"""Numbers that a step between may hold: with no more than an operand, numpy contracts three at a time, in minutes at degree 12."""


def matrix_basis(size: int, degree: int) -> Array:
    """What an irrep is among matrices on that of degree ``size``: shape (2 size + 1, 2 size + 1, 2 degree + 1), orthonormal."""
    return sqrt(2 * degree + 1) * wigner_3j(size, size, degree)


def vector_basis(degree: int, j: int) -> Array:
    """How harmonics of a degree and unit vectors make vector harmonics: shape (2 degree + 1, 3, 2 j + 1), orthonormal."""
    return sqrt(2 * j + 1) * wigner_3j(degree, 1, j)


@cache
def matrix_coupling(l1: int, l2: int, l3: int, size: int) -> float:
    """The coefficient of `wigner_3j` in Z = X Y, all three on `matrix_basis`."""
    bases = [matrix_basis(size, degree) for degree in (l1, l2, l3)]
    return float(np.einsum("abi,bcj,ack,ijk", *bases, wigner_3j(l1, l2, l3), optimize=True))


@cache
def vector_coupling(degrees: tuple[int, int, int], j: tuple[int, int, int]) -> float:
    """The coefficient of `wigner_3j` in the pointwise vector product of vector harmonics of those degrees and total j.

    0 where a triangle is broken or the sum of the degrees is odd.
    """
    (l1, l2, l3), (j1, j2, j3) = degrees, j
    if not abs(l1 - l2) <= l3 <= l1 + l2 or not abs(j1 - j2) <= j3 <= j1 + j2 or sum(degrees) % 2:
        return 0.0
    bases = [vector_basis(degree, total) for degree, total in zip(degrees, j, strict=True)]
    scalars, crossed = gaunt(l1, l2, l3) * wigner_3j(l1, l2, l3), sqrt(6) * wigner_3j(1, 1, 1)
    value = np.einsum("aui,bvj,cwk,abc,uvw,ijk", *bases, scalars, crossed, wigner_3j(j1, j2, j3), optimize=("optimal", LARGEST))
    return float(value) if abs(value) > 1e-13 else 0.0
