"""What each product is made of: tables that take irreps to values, how values are multiplied, tables that take them back.

Values may live at points of the sphere or be entries of a matrix. Irreps are sorted by *keys*, under which values are even or
odd: products of keys tell which values meet in which output, so none is computed that a symmetry makes vanish.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tpregistry.arrays import Array, Arrays, cut
from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.products import vector_degrees
from tpregistry.so3.couplings import matrix_basis, vector_basis
from tpregistry.so3.grids import Grid, fewest_points, frames, product_degree
from tpregistry.so3.harmonics import spherical_harmonics, surface_gradients

Key = tuple[int, ...]
Table = np.ndarray

NEXT, LAST = np.array([1, 2, 0]), np.array([2, 0, 1])
"""The two other axes of each of three."""


class Form:
    """A product by values. ``sign``: the key of a product is this times the product of the keys, in each place.

    ``shape`` is that of the values of one operand. Where those are values at points, the last axis, ``structure`` lists what
    `multiply` does: component of the product, of either factor, and sign.
    """

    sign = 1
    shape: tuple[int, ...] = ()
    structure: tuple[tuple[int, int, int, int], ...] = ()

    def labels(self, irreps: Irreps) -> Sequence[int]:
        """For each irrep the degree of its harmonics, on which tables depend besides its own."""
        return [item.l for item in irreps]

    def key(self, item: MulIrrep, label: int) -> Key:
        """Signs of an irrep under symmetries of the values."""
        raise NotImplementedError

    def encoder(self, degree: int, label: int) -> Table:
        """What each component contributes to values, shape (2 degree + 1, ...)."""
        raise NotImplementedError

    def decoder(self, degree: int, label: int) -> Table:
        """What values of the product contribute to each component, shape (..., 2 degree + 1)."""
        raise NotImplementedError

    def there(self, arrays: Arrays, pieces: list[Array], table: Array) -> Array:
        """Values from irreps of one key, each (batch, channels, 2 l + 1), and the table of them all."""
        return self.values(arrays, arrays.beside(pieces) @ table)

    def back(self, arrays: Arrays, values: Array, table: Array, widths: list[int]) -> list[Array]:
        """Irreps of one key, of as many components as ``widths``, from values."""
        return cut(self.rows(arrays, values) @ table, widths)

    def values(self, arrays: Arrays, rows: Array) -> Array:
        """Values (batch, channels, ...) from what a table gives, (batch, channels, entries)."""
        return rows.reshape(*rows.shape[:-1], *self.shape)

    def multiply(self, f: Array, g: Array) -> Array:
        """Values of the product; the leading axes are samples and channels."""
        return f * g

    def rows(self, arrays: Arrays, values: Array) -> Array:
        """Values as rows of a matrix product with the table that takes them back."""
        return values.reshape(*values.shape[:2], int(np.prod(values.shape[2:], dtype=int)))


class Gaunt(Form):
    """Scalar fields by their values at one point of each antipodal pair; keys: behaviour under r -> -r, and parity.

    ``degrees``: the largest of each factor and of the product. ``points``: those of fewest points, unless given.
    """

    structure = ((0, 0, 0, 1),)

    def __init__(self, degrees: tuple[int, ...], points: Grid | None = None) -> None:
        degree = product_degree(*degrees, curl=self.sign < 0)
        self.points = (points or fewest_points(degree, pairs=True)).require(degree)
        self._harmonics = spherical_harmonics(max(degrees), self.points.points)
        self.shape = (len(self.points),)

    def __str__(self) -> str:
        return f"{len(self.points)} pairs of points ({self.points.kind})"

    def key(self, item: MulIrrep, label: int) -> Key:
        """See `Form.key`."""
        return (-1) ** label, item.p * (-1) ** label

    def at_points(self, degree: int) -> Table:
        """Harmonics of one degree, shape (2 degree + 1, points)."""
        return self._harmonics[:, degree**2 : (degree + 1) ** 2].T

    def encoder(self, degree: int, label: int) -> Table:
        """See `Form.encoder`."""
        return self.at_points(degree)

    def decoder(self, degree: int, label: int) -> Table:
        """See `Form.decoder`: quadrature."""
        return (self.at_points(degree) * self.points.weights).T


class Curl(Gaunt):
    """Scalar fields by their two slopes; the product is r . (grad f x grad g)."""

    sign = -1
    structure = ((0, 0, 1, 1), (0, 1, 0, -1))

    def __init__(self, degrees: tuple[int, ...], points: Grid | None = None) -> None:
        super().__init__(degrees, points)
        self._slopes = surface_gradients(max(degrees), self.points.points)
        self.shape = 2, len(self.points)

    def encoder(self, degree: int, label: int) -> Table:
        """See `Form.encoder`."""
        return np.stack([slope[:, degree**2 : (degree + 1) ** 2].T for slope in self._slopes], axis=1)

    def multiply(self, f: Array, g: Array) -> Array:
        """See `Form.multiply`."""
        return f[..., 0, :] * g[..., 1, :] - f[..., 1, :] * g[..., 0, :]


class VectorSignal(Gaunt):
    """Fields of vectors by their components along r and the two slopes; the product is the vector product at each point."""

    structure = tuple((s, (s + n) % 3, (s - n) % 3, n) for n in (1, -1) for s in range(3))

    def __init__(self, degrees: tuple[int, ...], points: Grid | None = None) -> None:
        super().__init__(degrees, points)
        self.shape = 3, len(self.points)
        self._frames = frames(self.points.points)

    def labels(self, irreps: Irreps) -> Sequence[int]:
        """See `Form.labels`."""
        return vector_degrees(irreps)

    def encoder(self, degree: int, label: int) -> Table:
        """See `Form.encoder`."""
        return np.einsum("aui,ap,puv->ivp", vector_basis(label, degree), self.at_points(label), self._frames, optimize=True)

    def multiply(self, f: Array, g: Array) -> Array:
        """See `Form.multiply`."""
        return f[..., NEXT, :] * g[..., LAST, :] - f[..., LAST, :] * g[..., NEXT, :]

    def decoder(self, degree: int, label: int) -> Table:
        """See `Form.decoder`: quadrature."""
        return np.einsum("iup,p->upi", self.encoder(degree, label), self.points.weights)


class Matrices(Form):
    """Matrices on the irrep of degree ``size``; the key is parity."""

    def __init__(self, size: int) -> None:
        self._size, self.shape = size, (2 * size + 1, 2 * size + 1)

    def __str__(self) -> str:
        return "matrices of {} x {}".format(*self.shape)

    def key(self, item: MulIrrep, label: int) -> Key:
        """See `Form.key`."""
        return (item.p,)

    def encoder(self, degree: int, label: int) -> Table:
        """See `Form.encoder`."""
        return matrix_basis(self._size, degree).transpose(2, 0, 1)

    def decoder(self, degree: int, label: int) -> Table:
        """See `Form.decoder`."""
        return matrix_basis(self._size, degree)

    def multiply(self, f: Array, g: Array) -> Array:
        """See `Form.multiply`."""
        return f @ g
