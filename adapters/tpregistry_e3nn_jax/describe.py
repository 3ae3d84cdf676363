"""What calls of e3nn-jax compute, as problems. Everything is static: irreps, which chunks are zero, normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod, sqrt
from typing import Any

import e3nn_jax as e3nn

from tpregistry.irreps import Irreps
from tpregistry.problem import Mode, Path, Problem
from tpregistry_e3nn_jax.coefficients import scale

NORMALIZATIONS = ("component", "norm", "none")

Flags = tuple[bool, ...]
"""Which chunks are known to be zero."""


@dataclass(frozen=True)
class Described:
    """A problem, the irreps of its output, and which of those are known to be zero."""

    problem: Problem
    irreps_out: Any
    zero_flags: Flags
    weights: tuple[slice, ...] = ()
    """The slices of the host's flat weights that the problem has; what only meets zeros is left out."""


@dataclass(frozen=True)
class _Piece:
    """A chunk of the output: copies, irrep, and the path to it, None where an input is zero."""

    mul: int
    ir: Any
    path: Path | None


@lru_cache(maxsize=1024)
def tensor_product(irreps1: Any, zero1: Flags, irreps2: Any, zero2: Flags, keep: Any, normalization: str, dtype: str) -> Described:
    """All pairs of chunks, each output a chunk of its own."""

    def pieces() -> Iterator[_Piece]:
        for i, (mul1, ir1) in enumerate(irreps1):
            for j, (mul2, ir2) in enumerate(irreps2):
                for ir in _kept(ir1 * ir2, keep):
                    path = _path(i, j, _outer(mul1, mul2), ir1, ir2, ir, _alpha(normalization, ir1, ir2, ir))
                    yield _Piece(mul1 * mul2, ir, None if zero1[i] or zero2[j] else path)

    return _sorted(irreps1, irreps2, list(pieces()), dtype)


@lru_cache(maxsize=1024)
def elementwise(irreps1: Any, zero1: Flags, irreps2: Any, zero2: Flags, keep: Any, normalization: str, dtype: str) -> Described:
    """Copy by copy; the output is not sorted."""

    def pieces() -> Iterator[_Piece]:
        for i, ((mul, ir1), (_, ir2)) in enumerate(zip(irreps1, irreps2, strict=True)):
            for ir in _kept(ir1 * ir2, keep):
                path = _path(i, i, Mode.UUU, ir1, ir2, ir, _alpha(normalization, ir1, ir2, ir))
                yield _Piece(mul, ir, None if zero1[i] or zero2[i] else path)

    return _described(irreps1, irreps2, list(pieces()), dtype)


@lru_cache(maxsize=1024)
def tensor_square(irreps: Any, zero: Flags, normalization: str, normalized_input: bool, dtype: str) -> Described:
    """Pairs of different chunks, pairs of different copies in a chunk, and each copy with itself where l_out is even."""

    def pieces() -> Iterator[_Piece]:
        for i, (mul1, ir1) in enumerate(irreps):
            for j, (mul2, ir2) in list(enumerate(irreps))[i:]:
                live = not (zero[i] or zero[j])
                for ir in ir1 * ir2:
                    alpha = _alpha(normalization, ir1, ir2, ir, normalized_input)
                    if i < j:
                        yield _Piece(mul1 * mul2, ir, _path(i, j, _outer(mul1, mul2), ir1, ir2, ir, alpha) if live else None)
                        continue
                    if mul1 > 1:
                        path = _path(i, i, Mode.UVU_PAIRS, ir1, ir1, ir, alpha)
                        yield _Piece(mul1 * (mul1 - 1) // 2, ir, path if live else None)
                    if ir.l % 2 == 0:
                        own = _alpha_of_square(normalization, ir1, ir, normalized_input)
                        yield _Piece(mul1, ir, _path(i, i, Mode.UUU, ir1, ir1, ir, own) if live else None)

    return _sorted(irreps, irreps, list(pieces()), dtype)


def functional(product: Any, zero1: Flags, zero2: Flags, dtype: str) -> Described:
    """A `FunctionalTensorProduct`: its instructions, without those that read zeros."""
    live = [not (zero1[ins.i_in1] or zero2[ins.i_in2]) for ins in product.instructions]
    irreps = _parsed(product.irreps_in1, product.irreps_in2, product.irreps_out)
    paths, weights, start = [], [], 0
    for ins, is_live in zip(product.instructions, live, strict=True):
        size = prod(ins.path_shape) if ins.has_weight else 0
        if is_live:
            degrees = (irreps[0][ins.i_in1].l, irreps[1][ins.i_in2].l, irreps[2][ins.i_out].l)
            coefficient = float(ins.path_weight) * scale(*degrees)
            paths.append(Path(ins.i_in1, ins.i_in2, ins.i_out, Mode(ins.connection_mode), ins.has_weight, coefficient))
            weights += [slice(start, start + size)] if size else []
        start += size
    problem = Problem(irreps[0], irreps[1], irreps[2], tuple(paths), shared_weights=True, dtype=dtype, derivatives=1)
    reached = {path.i_out for path in paths}
    return Described(problem, product.irreps_out, tuple(i not in reached for i in range(len(irreps[2]))), tuple(weights))


def _kept(irreps: Any, keep: Any) -> list[Any]:
    return [ir for ir in irreps if keep is None or ir in keep]


def _outer(mul1: int, mul2: int) -> Mode:
    """All pairs of copies; where one operand has one copy, the other's are what kernels compute side by side."""
    return Mode.UVU if mul2 == 1 else Mode.UVV if mul1 == 1 else Mode.UVUV


def _path(i: int, j: int, mode: Mode, ir1: Any, ir2: Any, ir: Any, alpha: float) -> Path:
    """Its ``i_out`` is set when the output is sorted."""
    return Path(i, j, 0, mode, False, sqrt(alpha) * scale(ir1.l, ir2.l, ir.l))


def _sorted(irreps1: Any, irreps2: Any, pieces: list[_Piece], dtype: str) -> Described:
    """With the output's chunks as e3nn-jax sorts them."""
    order = e3nn.Irreps([(piece.mul, piece.ir) for piece in pieces]).sort().inv
    return _described(irreps1, irreps2, [pieces[n] for n in order], dtype)


def _described(irreps1: Any, irreps2: Any, pieces: list[_Piece], dtype: str) -> Described:
    irreps_out = e3nn.Irreps([(piece.mul, piece.ir) for piece in pieces])
    reps = _parsed(irreps1, irreps2, irreps_out)
    found = [(n, piece.path) for n, piece in enumerate(pieces) if piece.path is not None]
    paths = tuple(Path(p.i_in1, p.i_in2, n, p.mode, False, p.coefficient) for n, p in found)
    problem = Problem(reps[0], reps[1], reps[2], paths, shared_weights=True, dtype=dtype, derivatives=1)
    return Described(problem, irreps_out, tuple(piece.path is None for piece in pieces))


def _parsed(*irreps: Any) -> list[Irreps]:
    return [Irreps.parse("+".join(map(str, rep))) for rep in irreps]


def _alpha(normalization: str, ir1: Any, ir2: Any, ir: Any, normalized_input: bool = False) -> float:
    """The square of the factor of a path."""
    pair = ir1.dim * ir2.dim
    factor = {"component": ir.dim, "norm": pair, "none": 1}[normalization]
    return factor * (pair if normalized_input and normalization == "component" else 1)


def _alpha_of_square(normalization: str, ir1: Any, ir: Any, normalized_input: bool) -> float:
    """For a copy with itself, whose output varies more than that of two independent copies."""
    if normalization == "none":
        return 1
    spread = ir1.dim + 2
    if normalized_input:
        own = ir1.dim if ir.l == 0 else ir1.dim * spread / 2
        return own * (ir.dim if normalization == "component" else 1)
    return (ir.dim if normalization == "component" else ir1.dim**2) / (spread if ir.l == 0 else 2)
