"""Quadrature on the sphere that is exact for what it is asked for, and refuses what it is not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi

import numpy as np

from tpregistry.so3.clebsch_gordan import Array

KINDS = ("gauss-legendre", "equiangular", "lebedev")


@dataclass(frozen=True, eq=False)
class Grid:
    """Unit vectors (points, 3) and weights (points,) that sum to 4 pi; exact for polynomials up to ``degree``.

    Product grids have ``shape`` (polar angles, azimuths), points in that order.
    """

    kind: str
    points: Array
    weights: Array
    degree: int
    shape: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.weights)

    def require(self, degree: int) -> Grid:
        """This grid. Raises ValueError where it is not exact for ``degree``: an undersampled product is silently another one."""
        if self.degree < degree:
            raise ValueError(f"a {self.kind} grid of {len(self)} points is exact to degree {self.degree}, not to {degree}")
        return self


def product_degree(*degrees: int, curl: bool = False) -> int:
    """What a grid must be exact for: the product of signals of all degrees but the last, projected on the last.

    L1 + L2 + L3; one less for r . (grad f x grad g), which is of degree L1 + L2 - 1.
    """
    return max(0, sum(degrees) - (1 if curl else 0))


def grid(kind: str, degree: int) -> Grid:
    """The smallest grid of a kind that is exact for polynomials of ``degree``. Raises ValueError for an unknown kind or degree."""
    makers = dict(zip(KINDS, (_gauss_legendre, _equiangular, _lebedev), strict=True))
    if kind not in makers:
        raise ValueError(f"grid {kind!r}: use one of {', '.join(KINDS)}")
    return makers[kind](degree).require(degree)


def half(kind: str, degree: int) -> Grid:
    """One point of each antipodal pair of a grid, weighing twice: for functions that are alike at both.

    Raises ValueError as `grid` does.
    """
    whole = grid(kind, degree)
    if whole.shape and whole.shape[1] % 2:
        whole = grid(kind, degree + 1)  # an even number of azimuths
    places = {tuple(point): number for number, point in enumerate(whole.points.round(9) + 0.0)}
    opposite = [places[tuple(point)] for point in (-whole.points).round(9) + 0.0]
    kept = [number for number, other in enumerate(opposite) if number < other]
    return Grid(whole.kind, whole.points[kept], 2 * whole.weights[kept], whole.degree)


@cache
def hemisphere(degree: int, azimuths: int) -> Grid:
    """`half` of a Gauss-Legendre grid, in the shape of a product: an even number of polar angles, those of y > 0 kept.

    Raises ValueError where ``azimuths`` are odd or too few.
    """
    if azimuths % 2 or azimuths <= degree:
        raise ValueError(f"{azimuths} azimuths: degree {degree} needs an even number above it")
    enough = (degree + 2) // 2
    cosines, weights = np.polynomial.legendre.leggauss(enough + enough % 2)
    above = cosines > 0
    return _product("gauss-legendre", cosines[above], 2 * weights[above], azimuths, degree)


@cache
def fewest_points(degree: int, pairs: bool = False) -> Grid:
    """The grid of fewest points that is known, or `half` of it: Lebedev's where there is one (and scipy), else Gauss-Legendre's."""
    make = half if pairs else grid
    try:
        return make("lebedev", degree)
    except (ImportError, ValueError):
        return make("gauss-legendre", degree)


def frames(points: Array) -> Array:
    """At unit vectors (points, 3) the directions outwards, of the polar angle and of the azimuth, shape (points, 3, direction).

    Right-handed; at the poles those of azimuth 0.
    """
    x, y, z = points.T
    azimuth, sine = np.arctan2(x, z), np.hypot(x, z)
    along, across = np.sin(azimuth), np.cos(azimuth)
    polar = np.stack([y * along, -sine, y * across], axis=1)
    return np.stack([points, polar, np.stack([across, 0 * y, -along], axis=1)], axis=2)


def equiangular_degree(polar: int, azimuths: int) -> int:
    """What an equiangular grid of this resolution, e3nn's `res`, is exact for. Polar angles come in even numbers."""
    return min(2 * (polar // 2), azimuths) - 1


def _gauss_legendre(degree: int) -> Grid:
    """(degree + 2) // 2 polar angles by degree + 1 azimuths."""
    cosines, weights = np.polynomial.legendre.leggauss((degree + 2) // 2)
    return _product("gauss-legendre", cosines, weights, degree + 1, degree)


def _equiangular(degree: int) -> Grid:
    """Driscoll and Healy, Adv. Appl. Math. 15 (1994), theorem 3, at the middles of the intervals: twice as many points."""
    half = degree // 2 + 1
    angles = (2 * np.arange(2 * half) + 1) * pi / (4 * half)
    odd = 2 * np.arange(half) + 1
    weights = 2 / half * np.sin(angles) * (np.sin(angles[:, None] * odd) / odd).sum(1)
    return _product("equiangular", np.cos(angles), weights, degree + 1, degree)


def _product(kind: str, cosines: Array, weights: Array, azimuths: int, degree: int) -> Grid:
    """The polar axis is y; azimuths run from z to x."""
    angles = 2 * pi * np.arange(azimuths) / azimuths
    sines = np.sqrt(1 - cosines**2)
    y = np.broadcast_to(cosines[:, None], (len(cosines), azimuths))
    points = np.stack([sines[:, None] * np.sin(angles), y, sines[:, None] * np.cos(angles)], axis=-1)
    return Grid(kind, points.reshape(-1, 3), np.repeat(weights * 2 * pi / azimuths, azimuths), degree, (len(cosines), azimuths))


def _lebedev(degree: int) -> Grid:
    """The smallest of Lebedev's rules, from scipy. Rules with negative weights are exact as well, but are passed over."""
    from scipy.integrate import lebedev_rule

    for order in LEBEDEV:
        if order >= degree:
            points, weights = lebedev_rule(order)
            if (weights > 0).all():
                return Grid("lebedev", points.T, weights, order)
    raise ValueError(f"there is no Lebedev rule for degree {degree}: they end at {LEBEDEV[-1]}; use gauss-legendre")


LEBEDEV = (*range(3, 32, 2), *range(35, 132, 6))
"""Degrees of the rules that are known."""
