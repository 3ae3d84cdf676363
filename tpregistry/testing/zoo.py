"""The problem zoo: products of real models, and products that trip implementations. What a backend should be tried on."""

from __future__ import annotations

from dataclasses import replace

from tpregistry.from_irreps import problem_from_irreps
from tpregistry.irreps import Irreps
from tpregistry.problem import Mode, Path, Problem
from tpregistry.testing.real import real_problems

BATCH = 64


def zoo(dtype: str = "float32") -> dict[str, Problem]:
    """Every problem by name, at a small batch; those that exist in one dtype only are left out in others."""
    found = {f"real: {name}": problem for name, problem in real_problems(dtype).items()}
    found |= _modes(dtype) | _shapes(dtype) | _orders(dtype) | _coefficients(dtype)
    return {name: problem.at(batch=BATCH) for name, problem in found.items()}


def _whole(in1: str, in2: str, out: str | None, mode: Mode, dtype: str, shared: bool = False) -> Problem:
    return problem_from_irreps(in1, in2, out, mode, shared_weights=shared, dtype=dtype)


def _modes(dtype: str) -> dict[str, Problem]:
    """Each mode, with weights per sample and shared; several copies of y."""
    out = {Mode.UVW: "5x0o+2x1e+3x2e", Mode.UUW: "5x0o+2x1e", Mode.UVW_PAIRS: "5x0o+2x1e"}
    return {
        f"mode {mode}, {kind} weights": _whole("3x1o+3x0e", "3x1e+3x2e", out.get(mode), mode, dtype, kind == "shared")
        for mode in Mode
        for kind in ("per-sample", "shared")
    }


def _shapes(dtype: str) -> dict[str, Problem]:
    """Copies and degrees at their limits."""
    return {
        "scalars only": _whole("7x0e+3x0o", "2x0e+0o", "4x0e+5x0o", Mode.UVW, dtype),
        "one copy of each": _whole("0e+1o+2e", "0e+1o+2e", None, Mode.UVU, dtype),
        "no copies of one irrep": _whole("4x0e+0x1o+4x1o", "0e+0x2e+1o", None, Mode.UVU, dtype),
        "several copies of y": _whole("4x0e+4x1o", "3x0e+2x1o", None, Mode.UVU, dtype),
        "as many copies of y as of x, no weights": _unweighted(_whole("3x0e+3x1o", "3x0e+3x1o", None, Mode.UVU, dtype)),
        "more copies than a vector has lanes": _whole("67x1o", "0e+1o", None, Mode.UVU, dtype),
        "degree 8": _whole("2x8e+3x7o", "8e", "2x0e+2x8e+3x1o", Mode.UVU, dtype),
        "degrees to 5": _whole("2x5o+2x3o", "0e+2e+4e", None, Mode.UVU, dtype),
        "forward only": _whole("8x0e+8x1o", "0e+1o", None, Mode.UVU, dtype).at(derivatives=0),
    }


def _unweighted(problem: Problem) -> Problem:
    return problem.at(paths=tuple(replace(path, has_weight=False) for path in problem.paths), shared_weights=True)


def _orders(dtype: str) -> dict[str, Problem]:
    """Paths that are not sorted, share outputs, or leave pieces untouched; both parities of a degree."""
    parities = _whole("4x0o+4x0e+4x1o+4x1e", "0o+0e+1e+1o", None, Mode.UVU, dtype)
    twice = (_path(0, 1, 0), _path(0, 0, 0), _path(0, 1, 0, coefficient=2.0))
    return {
        "both parities": parities,
        "paths in reverse": parities.at(paths=parities.paths[::-1]),
        "outputs shared by paths": _whole("4x0e+4x1o+4x1o", "0e+1o+2e", "4x0e+4x1o+4x2e", Mode.UVU, dtype),
        "equal irreps in several pieces": _whole("2x1o+2x1o", "1o+1o", "2x0e+2x0e+2x2e", Mode.UVU, dtype),
        "one triple by two paths": Problem(*_irreps("4x0e", "0e+0e", "4x0e"), twice, False, dtype),
        "pieces that no path reaches": Problem(*_irreps("2x1o+3x0e", "1o+0e", "2x2e+2x0e"), (_path(0, 0, 1),), False, dtype),
        "mixed modes, some without weights": _mixed(dtype),
    }


def _mixed(dtype: str) -> Problem:
    irreps = _irreps("4x0e+4x1o", "4x0e+1x1o", "4x0e+4x1o+6x1o+16x1o+4x0e")
    paths = (
        _path(1, 0, 2, Mode.UVW),
        _path(0, 0, 0, Mode.UUU, weighted=False),
        _path(0, 1, 1, Mode.UVU),
        _path(1, 0, 3, Mode.UVUV, weighted=False),
        _path(1, 1, 4, Mode.UVU, weighted=False),
        _path(1, 0, 1, Mode.UUU),
    )
    return Problem(*irreps, paths, False, dtype)


def _coefficients(dtype: str) -> dict[str, Problem]:
    """Coefficients that are not e3nn's usual ones: of older checkpoints, of models that were float32 once, tiny and large."""
    usual = _whole("4x0e+4x1o+4x2e", "0e+1o+2e", None, Mode.UVU, dtype)
    odd = [replace(path, coefficient=-path.coefficient) if sum(usual.degrees(path)) % 2 else path for path in usual.paths]
    uneven = [replace(p, coefficient=p.coefficient * 10.0 ** (n % 5 - 2)) for n, p in enumerate(usual.paths)]
    found = {
        "signs of e3nn 0.4.4": usual.at(paths=tuple(odd)),
        "coefficients of several magnitudes": usual.at(paths=tuple(uneven)),
    }
    if dtype == "float64":
        # e3nn has no 3j tensor that could be rounded where a piece is scalar
        rounded = tuple(path if 0 in usual.degrees(path) else replace(path, rounding="float32") for path in usual.paths)
        found["coefficients once rounded to float32"] = usual.at(paths=rounded)
    return found


def _irreps(in1: str, in2: str, out: str) -> tuple[Irreps, Irreps, Irreps]:
    return Irreps.parse(in1), Irreps.parse(in2), Irreps.parse(out)


def _path(i_in1: int, i_in2: int, i_out: int, mode: Mode = Mode.UVU, weighted: bool = True, coefficient: float = 0.75) -> Path:
    return Path(i_in1, i_in2, i_out, mode, weighted, coefficient)
