"""Spherical harmonics as waves on a torus: tables by which a product of signals is a convolution of their coefficients.

Continued to polar angles of (0, 2 pi), a harmonic of degree l is a sum of waves exp(i (u beta + v alpha)) with |u| <= l and
v = +-m (Luo, Chen and Krishnapriyan, arXiv:2401.10216). Both tables are exact, in closed form up to one short FFT.
"""

from __future__ import annotations

from functools import cache
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from tpregistry.so3.harmonics import legendre

Complex = NDArray[np.complex128]


@cache
def encoder(degree: int) -> Complex:
    """Coefficients of waves, shape ((degree + 1)^2, 2 degree + 1, 2 degree + 1) for harmonic, u + degree, v + degree."""
    polar = _polar(degree)
    table = np.zeros(((degree + 1) ** 2, 2 * degree + 1, 2 * degree + 1), np.complex128)
    for l in range(degree + 1):
        for m in range(-l, l + 1):
            for v, factor in _azimuthal(m):
                table[l * l + l + m, :, v + degree] += factor * polar[:, l, abs(m)]
    return table


@cache
def decoder(degree: int, band: int, over_sine: bool = False) -> Complex:
    """Projections of waves |u|, |v| <= band on harmonics: shape (2 band + 1, 2 band + 1, (degree + 1)^2).

    The integral over the sphere of exp(i (u beta + v alpha)) Y, from that of exp(i w beta) sin(beta) over (0, pi). ``over_sine``:
    of waves divided by sin(beta), as in the curl of two sums of waves.
    """
    polar, waves = _polar(degree), np.arange(-band, band + 1)
    integrals = (_integral if over_sine else _sine_integral)(waves[:, None] + np.arange(-degree, degree + 1))
    table = np.zeros((2 * band + 1, 2 * band + 1, (degree + 1) ** 2), np.complex128)
    for l in range(degree + 1):
        for m in range(-l, l + 1):
            for v, factor in _azimuthal(m):
                if abs(v) <= band:
                    table[:, band - v, l * l + l + m] += 2 * pi * factor * integrals @ polar[:, l, abs(m)]
    return table


def _polar(degree: int) -> Complex:
    """Coefficients of P[l, m] in waves of beta, shape (2 degree + 1, degree + 1, degree + 1)."""
    count = 2 * degree + 1
    beta = 2 * pi * np.arange(count) / count
    coefficients = np.fft.fft(legendre(degree, np.cos(beta), np.sin(beta)), axis=0) / count
    return np.fft.fftshift(coefficients, axes=0)


def _azimuthal(m: int) -> tuple[tuple[int, complex], ...]:
    """Waves of sqrt(2) cos(m alpha), or sqrt(2) sin(|m| alpha) where m < 0."""
    if m == 0:
        return ((0, 1.0),)
    return ((m, 1 / sqrt(2)), (-m, 1 / sqrt(2))) if m > 0 else ((-m, -1j / sqrt(2)), (m, 1j / sqrt(2)))


def _sine_integral(w: NDArray[np.int64]) -> Complex:
    """The integral of exp(i w b) sin(b) over (0, pi): 2 / (1 - w^2) for even w, 0 for odd ones but +-i pi / 2 at +-1."""
    even = np.where(w % 2 == 0, 2.0 / np.where(w % 2 == 0, 1 - w * w, 1), 0.0)
    return even + 0.5j * pi * (np.where(w == 1, 1, 0) - np.where(w == -1, 1, 0))


def _integral(w: NDArray[np.int64]) -> Complex:
    """The integral of exp(i w b) over (0, pi): pi at 0, 2 i / w for odd w, 0 for other even ones."""
    odd = w % 2 == 1
    return np.where(odd, 2j / np.where(odd, w, 1), np.where(w == 0, pi, 0.0))
