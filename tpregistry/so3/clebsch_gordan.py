"""Real 3j tensors: the invariant tensors that every Clebsch-Gordan product is made of.

Convention: e3nn >= 0.5 (real spherical harmonics ordered m = -l..l, unit Frobenius norm). e3nn 0.4.4 has the other sign
on some triples of odd l1 + l2 + l3; adapters fold that sign into a path's coefficient.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb, factorial, isqrt, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@cache
def wigner_3j(l1: int, l2: int, l3: int) -> Array:
    """The real 3j tensor C[m1, m2, m3] of shape (2 l1 + 1, 2 l2 + 1, 2 l3 + 1), read-only.

    Raises ValueError unless |l1 - l2| <= l3 <= l1 + l2 (the triangle rule).
    """
    if not abs(l1 - l2) <= l3 <= l1 + l2:
        raise ValueError(f"no 3j tensor for l = ({l1}, {l2}, {l3}): the triangle rule asks |l1 - l2| <= l3 <= l1 + l2")
    if l1 > l2:
        swapped = (-1) ** (l1 + l2 + l3) * wigner_3j(l2, l1, l3).transpose(1, 0, 2)
        swapped.setflags(write=False)
        return swapped
    q1, q2, q3 = (real_to_complex(degree) for degree in (l1, l2, l3))
    tensor = np.einsum("ai,bj,ck,abc->ijk", q1, q2, q3.conj(), _complex_clebsch_gordan(l1, l2, l3), optimize=True).real
    tensor = np.where(abs(tensor) < 1e-15, 0.0, tensor)
    tensor /= np.linalg.norm(tensor)
    tensor.setflags(write=False)
    return tensor


@cache
def rounded_wigner_3j(l1: int, l2: int, l3: int, rounding: str) -> Array:
    """`wigner_3j` as a model that was built in a lower precision holds it: ``rounding`` is exact, float32 or bfloat16."""
    exact = wigner_3j(l1, l2, l3)
    if rounding == "exact":
        return exact
    single = exact.astype(np.float32)
    return (_to_bfloat16(single) if rounding == "bfloat16" else single).astype(np.float64)


def real_to_complex(degree: int) -> NDArray[np.complex128]:
    """Columns are the real harmonics of degree l in the complex ones (Condon-Shortley), times (-i)^l.

    The phase makes every 3j tensor real; see e.g. Blanco, Florez and Bermejo, J. Mol. Struct. 419 (1997), eq. 19.
    """
    matrix = np.zeros((2 * degree + 1,) * 2, dtype=np.complex128)
    matrix[degree, degree] = 1
    for m in range(1, degree + 1):
        sign = (-1) ** m / sqrt(2)
        matrix[degree - m, [degree + m, degree - m]] = 1 / sqrt(2), -1j / sqrt(2)
        matrix[degree + m, [degree + m, degree - m]] = sign, 1j * sign
    return (-1j) ** degree * matrix


def _complex_clebsch_gordan(l1: int, l2: int, l3: int) -> Array:
    """<l1 m1 l2 m2 | l3 m3> for m3 = m1 + m2, up to the factor sqrt(2 l3 + 1) that the normalisation removes."""
    tensor = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            tensor[l1 + m1, l2 + m2, l3 + m1 + m2] = racah(l1, m1, l2, m2, l3, m1 + m2)
    return tensor


def racah(l1: int, m1: int, l2: int, m2: int, l3: int, m3: int) -> float:
    """<l1 m1 l2 m2 | l3 m3> / sqrt(2 l3 + 1), by Racah's sum (Varshalovich et al., 8.2.1, eq. 3): exact before one square root.

    With binomials for its inverse factorials the sum is one of whole numbers.
    """
    f, (a, b, c) = factorial, (l1 + l2 - l3, l1 - l2 + l3, l2 + l3 - l1)
    total = 0
    for k in range(max(0, l2 - l3 - m1, l1 - l3 + m2), min(a, l1 - m1, l2 + m2) + 1):
        total += (-1) ** k * comb(a, k) * comb(b, l1 - m1 - k) * comb(c, l2 + m2 - k)
    magnetic = f(l1 + m1) * f(l1 - m1) * f(l2 + m2) * f(l2 - m2) * f(l3 + m3) * f(l3 - m3)
    scale = f(a) * f(b) * f(c) * f(l1 + l2 + l3 + 1)
    return (1 if total >= 0 else -1) * root(Fraction(magnetic * total * total, scale))


def root(value: Fraction) -> float:
    """Square root of a fraction that may be far outside the range of floats."""
    scale = max(0, 128 - value.numerator.bit_length() + value.denominator.bit_length()) & ~1
    return isqrt((value.numerator << scale) // value.denominator) / (1 << (scale // 2))


def _to_bfloat16(single: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to the nearest bfloat16, ties to even, as frameworks do."""
    bits = single.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)
