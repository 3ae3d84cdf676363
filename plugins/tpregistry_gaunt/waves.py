"""Scalar fields as waves on a torus, multiplied by fast Fourier transforms (Luo, Chen, Krishnapriyan, arXiv:2401.10216)."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from tpregistry.arrays import Array, Arrays
from tpregistry.irreps import MulIrrep
from tpregistry.so3.fourier import decoder, encoder
from tpregistry_gaunt.forms import Form, Key, Table


class Waves(Form):
    """Values at as many points of the torus as the product has waves; only waves of v >= 0 are kept, for fields are real."""

    fields: tuple[int, ...] = ()
    """Axes of the fields that stand for an operand."""

    def __init__(self, degrees: tuple[int, int, int]) -> None:
        self._last = degrees[2]
        self._degree = max(degrees[:2])
        self._band = degrees[0] + degrees[1]
        self._points = even(2 * self._band + 1)
        self._encoder, self._decoder = self._encoded(), self._decoded()

    def _encoded(self) -> Table:
        return _halved(encoder(self._degree))

    def _decoded(self) -> Table:
        return _halved_decoder(decoder(self._last, self._band), self._points)

    def __str__(self) -> str:
        return f"FFT of {self._points} x {self._points}"

    def key(self, item: MulIrrep, label: int) -> Key:
        """See `Form.key`: parity, as of fields on the sphere."""
        return (item.p * (-1) ** label,)

    def encoder(self, degree: int, label: int) -> Table:
        """See `Form.encoder`: real and imaginary parts of coefficients."""
        return self._encoder[degree**2 : (degree + 1) ** 2]

    def decoder(self, degree: int, label: int) -> Table:
        """See `Form.decoder`."""
        return self._decoder[..., degree**2 : (degree + 1) ** 2]

    def values(self, arrays: Arrays, rows: Array) -> Array:
        """See `Form.values`."""
        degree = self._degree
        parts = rows.reshape(*rows.shape[:-1], *self.fields, 2, 2 * degree + 1, degree + 1)
        waves = parts[..., 0, :, :] + 1j * parts[..., 1, :, :]
        gap = arrays.zeros(waves, *waves.shape[1:-2], self._points - 2 * degree - 1, degree + 1)
        spread = arrays.beside([waves[..., : degree + 1, :], gap, waves[..., degree + 1 :, :]], axis=-2)
        return arrays.from_waves(spread, self._points, axes=2)

    def rows(self, arrays: Arrays, values: Array) -> Array:
        """See `Form.rows`."""
        waves = arrays.to_waves(values, axes=2)[..., : min(self._last, self._band) + 1]
        return super().rows(arrays, arrays.beside([waves.real, waves.imag]))


class CurlWaves(Waves):
    """Waves of the two slopes, d/dbeta and d/dalpha: the curl is ``(f_beta g_alpha - f_alpha g_beta) / sin(beta)``.

    The sine is that of the sphere's measure too, so it drops out of the projection, which stays exact.
    """

    sign = -1
    fields = (2,)

    def _encoded(self) -> Table:
        table, waves = encoder(self._degree), 1j * np.arange(-self._degree, self._degree + 1)
        return _halved(np.stack([waves[:, None] * table, waves * table], axis=1))

    def _decoded(self) -> Table:
        return _halved_decoder(decoder(self._last, self._band, over_sine=True), self._points)

    def multiply(self, f: Array, g: Array) -> Array:
        """See `Form.multiply`."""
        return f[..., 0, :, :] * g[..., 1, :, :] - f[..., 1, :, :] * g[..., 0, :, :]


def even(number: int) -> int:
    """The next number without a factor above 5 and with a 2 in it: those are transformed fastest."""
    while number % 2 or _rest(number) > 1:
        number += 1
    return number


def _rest(number: int) -> int:
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number


def _halved(table: NDArray[np.complex128]) -> Table:
    """From harmonics, u, v to harmonics, real and imaginary part, u in FFT order, v >= 0."""
    kept = np.fft.ifftshift(table, axes=-2)[..., table.shape[-1] // 2 :]
    return np.stack([kept.real, kept.imag], axis=-3)


def _halved_decoder(full: NDArray[np.complex128], points: int) -> Table:
    """Shape (points, 2 (v + 1), (degree + 1)^2): rows u in FFT order, real parts of all v beside imaginary ones.

    A real field's waves of v < 0 are conjugates of those of v > 0, which count twice.
    """
    band, degree = len(full) // 2, isqrt(full.shape[-1]) - 1
    table = np.zeros((points, *full.shape[1:]), np.complex128)
    table[np.arange(-band, band + 1)] = full
    last = min(degree, band)
    table = table[:, band : band + last + 1] * np.where(np.arange(last + 1) == 0, 1, 2)[:, None]
    return np.concatenate([table.real, -table.imag], axis=1)
