"""Numbers by which products of signals on the sphere differ from Clebsch-Gordan products, path by path."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import factorial, pi, prod, sqrt

from tpregistry.so3.clebsch_gordan import racah, root


@cache
def gaunt(l1: int, l2: int, l3: int) -> float:
    """c with: the integral of Y_l1 Y_l2 Y_l3 is c times `wigner_3j`; 0 where l1 + l2 + l3 is odd.

    sqrt((2 l1 + 1)(2 l2 + 1)(2 l3 + 1) / (4 pi)) |(l1 l2 l3; 0 0 0)|: J. A. Gaunt, Phil. Trans. R. Soc. A 228 (1929); the sign
    is + for every path in this basis. Raises ValueError where the triangle rule is broken.
    """
    if _triangle(l1, l2, l3) % 2:
        return 0.0
    return _scale(l1, l2, l3) * abs(_three_j(l1, 0, l2, 0, l3))


@cache
def curl(l1: int, l2: int, l3: int) -> float:
    """d with: the integral of r . (grad Y_l1 x grad Y_l2) Y_l3 is d times `wigner_3j`; 0 where l1 + l2 + l3 is even.

    `gaunt`'s factor, times sqrt(l1 (l1 + 1) l2 (l2 + 1)) |(l1 l2 l3; 1 -1 0)|. Raises ValueError as `gaunt` does.
    """
    if _triangle(l1, l2, l3) % 2 == 0:
        return 0.0
    return _scale(l1, l2, l3) * sqrt(l1 * (l1 + 1) * l2 * (l2 + 1)) * abs(_three_j(l1, 1, l2, -1, l3))


def matrix_product(l1: int, l2: int, l3: int, size: int) -> float:
    """The coefficient of a path in a product of matrices on degree ``size``, up to a factor common to all paths.

    sqrt((2 l1 + 1)(2 l2 + 1)(2 l3 + 1)) {l1 l2 l3; size size size}: Unke and Maennel, e3x, arXiv:2401.07595. Not 0 for every
    path: {3 5 5; 3 3 3} and {3 5 6; 6 6 6} vanish.
    """
    return sqrt((2 * l1 + 1) * (2 * l2 + 1) * (2 * l3 + 1)) * wigner_6j(l1, l2, l3, size, size, size)


@cache
def wigner_6j(j1: int, j2: int, j3: int, j4: int, j5: int, j6: int) -> float:
    """{j1 j2 j3; j4 j5 j6} of integers, 0 where a triangle is broken."""
    if not all(abs(a - b) <= c <= a + b for a, b, c in ((j1, j2, j3), (j1, j5, j6), (j4, j2, j6), (j4, j5, j3))):
        return 0.0
    return _six_j(j1, j2, j3, j4, j5, j6)


@cache
def wigner_9j(rows: tuple[tuple[int, int, int], ...]) -> float:
    """The 9j symbol of three rows, as a sum over products of three 6j symbols (Varshalovich et al., 10.2)."""
    (a, b, c), (d, e, f), (g, h, i) = rows
    low, high = max(abs(a - i), abs(d - h), abs(b - f)), min(a + i, d + h, b + f)
    return sum(
        (2 * x + 1) * wigner_6j(a, b, c, f, i, x) * wigner_6j(d, e, f, b, x, h) * wigner_6j(g, h, i, x, a, d)
        for x in range(low, high + 1)
    )


def vector_signal(spins: tuple[int, int, int], degrees: tuple[int, int, int], j: tuple[int, int, int]) -> float:
    """The coefficient by which signals of spins s_i in tensor harmonics of degrees l_i couple j1 and j2 to j3.

    The generalised Gaunt formula: a factor of the scalar harmonics times sqrt((2 j1 + 1)(2 j2 + 1)(2 l3 + 1)(2 s3 + 1)) times
    the 9j symbol {l1 s1 j1; l2 s2 j2; l3 s3 j3} (Xie et al., arXiv:2602.21466). 0 where any triangle is broken.
    """
    (l1, l2, l3), (j1, j2, _) = degrees, j
    rows = tuple(zip(degrees, spins, j, strict=True))
    columns_fit = all(abs(r[0] - r[1]) <= r[2] <= r[0] + r[1] for r in (*rows, degrees, spins, j))
    if not columns_fit or (l1 + l2 + l3) % 2:
        return 0.0
    scalars = sqrt((2 * l1 + 1) * (2 * l2 + 1) / (4 * pi * (2 * l3 + 1))) * sqrt(2 * l3 + 1) * _three_j(l1, 0, l2, 0, l3)
    return scalars * sqrt((2 * j1 + 1) * (2 * j2 + 1) * (2 * l3 + 1) * (2 * spins[2] + 1)) * wigner_9j(rows)


def _three_j(l1: int, m1: int, l2: int, m2: int, l3: int) -> float:
    """(l1 l2 l3; m1 m2 -m1-m2), up to a sign: what `clebsch_gordan` leaves out is the factor sqrt(2 l3 + 1)."""
    return racah(l1, m1, l2, m2, l3, m1 + m2)


def _scale(l1: int, l2: int, l3: int) -> float:
    return sqrt((2 * l1 + 1) * (2 * l2 + 1) * (2 * l3 + 1) / (4 * pi))


def _triangle(l1: int, l2: int, l3: int) -> int:
    """The sum of three degrees that keep the triangle rule."""
    if not abs(l1 - l2) <= l3 <= l1 + l2:
        raise ValueError(f"l = ({l1}, {l2}, {l3}) breaks the triangle rule |l1 - l2| <= l3 <= l1 + l2")
    return l1 + l2 + l3


def _six_j(j1: int, j2: int, j3: int, j4: int, j5: int, j6: int) -> float:
    """Racah's sum in integers, exact before the one square root (Varshalovich et al., 9.2.1)."""
    f = factorial

    def delta(a: int, b: int, c: int) -> Fraction:
        return Fraction(f(a + b - c) * f(a - b + c) * f(-a + b + c), f(a + b + c + 1))

    triples = ((j1, j2, j3), (j1, j5, j6), (j4, j2, j6), (j4, j5, j3))
    fours = (j1 + j2 + j4 + j5, j2 + j3 + j5 + j6, j3 + j1 + j6 + j4)
    total = Fraction(0)
    for k in range(max(map(sum, triples)), min(fours) + 1):
        below = prod(f(k - sum(triple)) for triple in triples) * prod(f(four - k) for four in fours)
        total += Fraction((-1) ** k * f(k + 1), below)
    squared = total * total
    for triple in triples:
        squared *= delta(*triple)
    return (1 if total >= 0 else -1) * root(squared)
