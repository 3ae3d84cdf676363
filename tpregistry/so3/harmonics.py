"""Real spherical harmonics of any degree, and their surface gradients.

Convention: e3nn's. Component m = -l..l of degree l; degree 1 is (x, y, z) up to a factor; the polar axis is y, the azimuth
runs from z to x. Orthonormal on the sphere (e3nn's normalization "integral"), without the Condon-Shortley phase.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from tpregistry.so3.clebsch_gordan import Array


def spherical_harmonics(degree: int, points: Array) -> Array:
    """Y of all degrees up to ``degree`` at unit vectors (points, 3), shape (points, (degree + 1)^2)."""
    cosine, sine, azimuth = _angles(points)
    return _combined(degree, legendre(degree, cosine, sine), _waves(degree, azimuth))


def surface_gradients(degree: int, points: Array) -> tuple[Array, Array]:
    """dY/dbeta and dY/dalpha / sin(beta) for polar angle beta and azimuth alpha, each shaped like `spherical_harmonics`.

    Both are finite at the poles: no formula here divides by a sine.
    """
    cosine, sine, azimuth = _angles(points)
    table, waves = legendre(degree, cosine, sine), _waves(degree, azimuth)
    turned = np.stack([abs(m) * waves[:, degree - m] * (1 if m < 0 else -1) for m in range(-degree, degree + 1)], axis=1)
    return _combined(degree, _slopes(degree, table), waves), _combined(
        degree, legendre(degree, cosine, sine, over_sine=True), turned
    )


def legendre(degree: int, cosine: Array, sine: Array, over_sine: bool = False) -> Array:
    """Associated Legendre functions P[l, m] of m >= 0, shape (points, degree + 1, degree + 1), zero where m > l.

    Normalised so that P times cos(m a) or sin(m a), times sqrt(2) where m > 0, is orthonormal on the sphere. ``sine`` may be
    negative: that continues them to the torus. ``over_sine`` gives P / sine for m > 0, and 0 for m = 0. Recursions of
    fully normalised functions are stable to degrees of thousands (Holmes and Featherstone, J. Geodesy 76 (2002), eq. 11).
    """
    table = np.zeros((len(cosine), degree + 1, degree + 1))
    diagonal = np.full(len(cosine), 1 / sqrt(4 * pi))
    for m in range(degree + 1):
        if m:
            diagonal = sqrt((2 * m + 1) / (2 * m)) * diagonal * (1.0 if over_sine and m == 1 else sine)
        elif over_sine:
            continue
        table[:, m, m] = diagonal
        for degree_above in range(m + 1, degree + 1):
            table[:, degree_above, m] = _next(degree_above, m, cosine, table)
    return table


def _next(degree: int, m: int, cosine: Array, table: Array) -> Array:
    squares = degree * degree, m * m
    below = sqrt(((degree - 1) ** 2 - squares[1]) / (4 * (degree - 1) ** 2 - 1)) if degree > m + 1 else 0.0
    factor = sqrt((4 * squares[0] - 1) / (squares[0] - squares[1]))
    before = table[:, degree - 2, m] if degree > m + 1 else 0.0
    return factor * (cosine * table[:, degree - 1, m] - below * before)


def _slopes(degree: int, table: Array) -> Array:
    """dP/dbeta, by the neighbours in m."""
    slopes = np.zeros_like(table)
    for l in range(1, degree + 1):
        slopes[:, l, 0] = -sqrt(l * (l + 1)) * table[:, l, 1]
        for m in range(1, l + 1):
            above = table[:, l, m + 1] if m < l else 0.0
            slopes[:, l, m] = (sqrt((l + m) * (l - m + 1)) * table[:, l, m - 1] - sqrt((l - m) * (l + m + 1)) * above) / 2
    return slopes


def _angles(points: Array) -> tuple[Array, Array, Array]:
    x, y, z = np.asarray(points, np.float64).T
    return y, np.hypot(x, z), np.arctan2(x, z)


def _waves(degree: int, azimuth: Array) -> Array:
    """sqrt(2) sin(|m| a) for m < 0, 1, sqrt(2) cos(m a) for m > 0, shape (points, 2 degree + 1)."""
    m = np.arange(1, degree + 1)
    angles = azimuth[:, None] * m
    return np.concatenate([sqrt(2) * np.sin(angles)[:, ::-1], np.ones((len(azimuth), 1)), sqrt(2) * np.cos(angles)], axis=1)


def _combined(degree: int, table: Array, waves: Array) -> Array:
    parts = [table[:, l, abs(np.arange(-l, l + 1))] * waves[:, degree - l : degree + l + 1] for l in range(degree + 1)]
    return np.concatenate(parts, axis=1)
