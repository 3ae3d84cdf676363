"""How irreps turn under a rotation and under inversion; the gate tests equivariance with it."""

from __future__ import annotations

from functools import cache

import numpy as np

from tpregistry.irreps import Irreps
from tpregistry.so3.clebsch_gordan import Array, real_to_complex


def wigner_D(degree: int, axis_angle: Array) -> Array:
    """The real matrix of degree l for a rotation vector (axis times angle in radians), shape (2 l + 1, 2 l + 1).

    exp of the three real generators, through the eigenvectors of the Hermitian matrix i L.
    """
    generator = np.einsum("a,aij->ij", axis_angle, _generators(degree))
    values, vectors = np.linalg.eigh(1j * generator)
    return np.real((vectors * np.exp(-1j * values)) @ vectors.conj().T)


def irreps_matrix(irreps: Irreps, axis_angle: Array, inversion: bool = False) -> Array:
    """The block-diagonal matrix that turns one sample of ``irreps`` (layout ``mul_ir``), shape (dim, dim)."""
    matrix = np.zeros((irreps.dim, irreps.dim))
    for place, item in zip(irreps.slices(), irreps, strict=True):
        sign = item.p if inversion else 1
        matrix[place, place] = np.kron(np.eye(item.mul), sign * wigner_D(item.l, axis_angle))
    return matrix


@cache
def _generators(degree: int) -> Array:
    """Real antisymmetric generators of rotations about x, y, z in the basis of the 3j tensors, shape (3, 2l+1, 2l+1)."""
    m = np.arange(-degree, degree + 1)
    raising = np.diag(np.sqrt(degree * (degree + 1) - m[:-1] * (m[:-1] + 1)), -1).astype(np.complex128)
    spin_x = (raising + raising.T) / 2
    spin_y = (raising - raising.T) / 2j
    basis = real_to_complex(degree)
    spins = (spin_x, spin_y, np.diag(m).astype(np.complex128))
    return np.stack([(basis.conj().T @ (1j * spin.conj()) @ basis).real for spin in spins])
