"""Fields to and from a grid of rings in two stages: polar angles, one order m at a time, and then azimuths.

A component of order m gives sin(m a) or cos(m a) on every ring, so the first stage is a small table for each order; the second
is one table of waves for all rings, or a Fourier transform. O(L^3) multiplications, or O(L^3) and O(L^2 log L), where a table for
all points takes O(L^4).
"""

from __future__ import annotations

from math import pi, prod
from typing import Protocol

import numpy as np

from tpregistry.arrays import Array, Arrays
from tpregistry.irreps import MulIrrep
from tpregistry.so3.grids import Grid, hemisphere, product_degree
from tpregistry_gaunt.forms import Form, Gaunt, Key, Table
from tpregistry_gaunt.waves import even


def rings(degree: int, top: int) -> Grid:
    """Half a grid that is exact for a degree, with enough azimuths to tell orders up to ``top`` apart, a number that FFTs like."""
    return hemisphere(degree, even(max(degree, 2 * top) + 1))


class Rings(Form):
    """Another form on a grid of rings.

    Tables have shape (2, orders, fields, rings, 2): whether the component is that of -m, m, the values' fields and rings, real
    and imaginary part of the coefficient of exp(i m a), of which values are the real part, twice where m > 0. ``top``: the
    highest order of any component.
    """

    def __init__(self, kind: type[Gaunt], degrees: tuple[int, ...], top: int, circle: type[Circle]) -> None:
        degree = product_degree(*degrees, curl=kind.sign < 0)
        points = rings(degree, top)
        assert points.shape is not None
        self._rings, self._azimuths = points.shape
        self._form, self._orders, self._circle = kind(degrees, points), top + 1, circle(self._azimuths)
        self.sign, self.shape, self.labels, self.multiply = kind.sign, self._form.shape, self._form.labels, self._form.multiply

    def __str__(self) -> str:
        return f"{self._rings} rings of {self._azimuths} points, {self._circle.how}"

    def key(self, item: MulIrrep, label: int) -> Key:
        """See `Form.key`."""
        return self._form.key(item, label)

    def encoder(self, degree: int, label: int) -> Table:
        """See `Rings`; there are zeros where the degree has no such order."""
        return self._placed(self._form.encoder(degree, label))

    def decoder(self, degree: int, label: int) -> Table:
        """The same with the component last."""
        counted = np.where(np.arange(self._orders) > 0, 2.0, 1.0) * self._azimuths
        table = self._placed(np.moveaxis(self._form.decoder(degree, label), -1, 0)) * counted[:, None, None, None]
        return np.moveaxis(table, 0, -1)

    def _placed(self, values: Table) -> Table:
        """From what components give at all points."""
        degree = len(values) // 2
        on_rings = values.reshape(len(values), -1, self._rings, self._azimuths)
        waves = np.fft.rfft(on_rings, norm="forward")
        table = np.zeros((2, self._orders, *on_rings.shape[1:3], 2))
        for m in range(-degree, degree + 1):
            wave = waves[degree + m, ..., abs(m)]
            table[int(m < 0), abs(m)] = np.stack([wave.real, wave.imag], axis=-1)
        return table

    def there(self, arrays: Arrays, pieces: list[Array], table: Array) -> Array:
        """See `Form.there`."""
        top = max(each.shape[-1] for each in pieces) // 2
        placed = arrays.beside([part[..., None, :] for part in _centred(arrays, pieces, top)], axis=-2)
        both = arrays.beside([placed[..., None, top:], arrays.flipped(placed[..., : top + 1])[..., None, :]], axis=-2)
        sided = both.reshape(*both.shape[:2], 2 * len(pieces), top + 1)
        table = table.reshape(2 * len(pieces), self._orders, -1, self._rings, 2)[:, : top + 1]
        values = self._circle.there(arrays, arrays.einsum("bcsm,smfrt->bcfrmt", sided, table))
        return values.reshape(*values.shape[:2], *self.shape)

    def back(self, arrays: Arrays, values: Array, table: Array, widths: list[int]) -> list[Array]:
        """See `Form.back`."""
        top = max(widths) // 2
        on_rings = values.reshape(*values.shape[:2], prod(values.shape[2:-1]), self._rings, self._azimuths)
        waves = self._circle.back(arrays, on_rings, top + 1)
        table = table.reshape(self._orders, -1, self._rings, 2, 2 * len(widths))[: top + 1]
        both = arrays.einsum("bcfrmt,mfrts->bcsm", waves, table)
        both = both.reshape(*both.shape[:2], len(widths), 2, top + 1)
        placed = arrays.beside([arrays.flipped(both[..., 1, 1:]), both[..., 0, :]])
        return [placed[..., n, top - width // 2 : top + width // 2 + 1] for n, width in enumerate(widths)]


def _centred(arrays: Arrays, pieces: list[Array], top: int) -> list[Array]:
    """Components -top..top of each, zeros beyond its own."""
    found = []
    for each in pieces:
        gap = arrays.zeros(each, each.shape[1], top - each.shape[-1] // 2)
        found.append(arrays.beside([gap, each, gap]))
    return found


class Circle(Protocol):
    """Between coefficients (..., orders, real and imaginary part) and values (..., azimuths) on rings."""

    how: str

    def __init__(self, azimuths: int) -> None: ...

    def there(self, arrays: Arrays, waves: Array) -> Array:
        """Values, of coefficients of orders from 0 on."""
        ...

    def back(self, arrays: Arrays, values: Array, orders: int) -> Array:
        """The coefficients of as many orders."""
        ...


class AsTable:
    """By the table of waves."""

    how = "by tables"

    def __init__(self, azimuths: int) -> None:
        angles = 2 * pi / azimuths * np.outer(np.arange(azimuths // 2), np.arange(azimuths))
        self._waves = np.stack([np.cos(angles), -np.sin(angles)], axis=1)
        self._made: dict[tuple[int, bool], Array] = {}

    def there(self, arrays: Arrays, waves: Array) -> Array:
        """See `Circle.there`."""
        orders = waves.shape[-2]
        return waves.reshape(*waves.shape[:-2], 2 * orders) @ self._table(arrays, orders, back=False)

    def back(self, arrays: Arrays, values: Array, orders: int) -> Array:
        """See `Circle.back`."""
        return (values @ self._table(arrays, orders, back=True)).reshape(*values.shape[:-1], orders, 2)

    def _table(self, arrays: Arrays, orders: int, back: bool) -> Array:
        if (orders, back) not in self._made:
            counted = np.where(np.arange(orders) > 0, 2.0, 1.0)[:, None, None]
            waves = self._waves[:orders] / self._waves.shape[-1] if back else self._waves[:orders] * counted
            table = waves.reshape(2 * orders, -1)
            self._made[orders, back] = arrays.constant(table.T if back else table)
        return self._made[orders, back]


class AsTransform:
    """By a fast Fourier transform."""

    how = "by FFT"

    def __init__(self, azimuths: int) -> None:
        self._azimuths = azimuths

    def there(self, arrays: Arrays, waves: Array) -> Array:
        """See `Circle.there`."""
        return arrays.from_waves(waves[..., 0] + 1j * waves[..., 1], self._azimuths, axes=1)

    def back(self, arrays: Arrays, values: Array, orders: int) -> Array:
        """See `Circle.back`."""
        waves = arrays.to_waves(values, axes=1)[..., :orders, None]
        return arrays.beside([waves.real, waves.imag])
