"""MACE's symmetric contraction as a problem: polynomials in the components of x, one for each component of the output.

For every node n and channel c, ``out_k = sum over elements z of y_nz * sum over m of (sum over p of U_mp w_zpc) * x_i x_j ...``:
m are monomials, p are paths, which couple powers of x to an irrep. Symmetric tensors, as models keep them, are dense and nearly
all zeros; what is kept here is a `Table` of monomials, once each. A problem names its table by a digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tpregistry.errors import TPError
from tpregistry.irreps import Irreps
from tpregistry.lazy import lazy
from tpregistry.problem import Powers, Problem

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Table:
    """Monomials, and by which paths each is weighed.

    ``outputs[m]`` is the component of the output, ``factors[m]`` the components of x, in order, one for each power;
    ``starts[m] : starts[m + 1]`` are the places of m in ``paths`` and ``values``.
    """

    outputs: Index
    factors: tuple[tuple[int, ...], ...]
    starts: Index
    paths: Index
    values: Array

    @lazy
    def digest(self) -> str:
        """24 hex digits of all numbers."""
        arrays = (self.outputs, np.array([len(f) for f in self.factors]), np.array([i for f in self.factors for i in f]))
        whole = (*arrays, self.starts, self.paths, self.values)
        return hashlib.sha256(b"".join(array.tobytes() for array in whole)).hexdigest()[:24]

    def __len__(self) -> int:
        return len(self.factors)


def table(tensors: Sequence[Sequence[Array]]) -> Table:
    """Read dense tensors: for each irrep of the output those of power 1, 2, ..., shape (2 l + 1, d, ..., d, paths).

    They need not be symmetric: what meets the same monomial is added up. Paths are numbered irrep after irrep, power after power.
    """
    found: dict[tuple[int, tuple[int, ...]], dict[int, float]] = {}
    components = paths = 0
    for irrep in tensors:
        for tensor in irrep:
            for place in np.argwhere(tensor):
                k, *factors, path = map(int, place)
                numbers = found.setdefault((components + k, tuple(sorted(factors))), {})
                numbers[paths + path] = numbers.get(paths + path, 0.0) + float(tensor[tuple(place)])
            paths += tensor.shape[-1]
        components += len(irrep[0])
    return _packed(found)


def _packed(found: dict[tuple[int, tuple[int, ...]], dict[int, float]]) -> Table:
    monomials = sorted(found)
    numbers = [sorted(found[monomial].items()) for monomial in monomials]
    flat = [pair for pairs in numbers for pair in pairs]
    return Table(
        np.array([k for k, _ in monomials], dtype=np.int64),
        tuple(factors for _, factors in monomials),
        np.cumsum([0, *map(len, numbers)], dtype=np.int64),
        np.array([path for path, _ in flat], dtype=np.int64),
        np.array([value for _, value in flat], dtype=np.float64),
    )


_tables: dict[str, Table] = {}


def symmetric_contraction(
    irreps_in: Irreps, irreps_out: Irreps, elements: int, tensors: Sequence[Sequence[Array]], dtype: str = "float32"
) -> Problem:
    """The problem of dense tensors, see `table`; every irrep in as many copies, the channels.

    Operands: x (nodes, channels * components), channel after channel, y (nodes, elements), w (elements * paths * channels).
    Raises ValueError where irreps and tensors do not fit.
    """
    made = table(tensors)
    powers = Powers(tuple(tuple(tensor.shape[-1] for tensor in irrep) for irrep in tensors), made.digest)
    y = Irreps.parse(f"{elements}x0e")
    problem = Problem(irreps_in, y, irreps_out, (), True, dtype, operation="symmetric_contraction", powers=powers)
    width = irreps_in.dim // problem.channels
    for item, irrep in zip(irreps_out, tensors, strict=True):
        for power, tensor in enumerate(irrep, 1):
            expected = (2 * item.l + 1, *[width] * power)
            if tensor.shape[:-1] != expected:
                raise ValueError(f"the tensor of power {power} to {item} has shape {tensor.shape}, not {expected} and its paths")
    _tables[made.digest] = made
    return problem


def is_known(problem: Problem) -> bool:
    """Whether this process has read the table that a problem names."""
    return problem.powers is not None and problem.powers.digest in _tables


def table_of(problem: Problem) -> Table:
    """The table that a problem names. Raises TPError where this process has not read it from a module."""
    assert problem.powers is not None, "a symmetric contraction"
    try:
        return _tables[problem.powers.digest]
    except KeyError:
        raise TPError(
            f"the coefficients {problem.powers.digest} of {problem} are not known here: load the model that they come from"
        ) from None
