"""Random problems: as many as one likes, from a seed."""

from __future__ import annotations

import numpy as np

from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.problem import Mode, Path, Problem


def random_problem(generator: np.random.Generator, dtype: str = "float32", max_degree: int = 3) -> Problem:
    """One to six paths of any modes between irreps of up to four copies: unsorted, repeated, of both parities."""
    irreps_in1, irreps_in2 = _draw_irreps(generator, max_degree), _draw_irreps(generator, max_degree)
    out: list[MulIrrep] = []
    paths: list[Path] = []
    for _ in range(int(generator.integers(1, 7))):
        _draw_path(generator, irreps_in1, irreps_in2, out, paths)
    shared = bool(generator.integers(2)) or not any(path.has_weight for path in paths)
    return Problem(irreps_in1, irreps_in2, Irreps(tuple(out)), tuple(paths), shared, dtype, batch=64)


def _draw_irreps(generator: np.random.Generator, max_degree: int) -> Irreps:
    """Two pieces that have as many copies each, so that every mode finds a pair, and one that has not."""
    copies = int(generator.integers(2, 4))
    muls = [copies, copies, int(generator.integers(1, 5))]
    return Irreps(tuple(MulIrrep(mul, int(generator.integers(max_degree + 1)), int(generator.choice([-1, 1]))) for mul in muls))


def _draw_path(
    generator: np.random.Generator, irreps_in1: Irreps, irreps_in2: Irreps, out: list[MulIrrep], paths: list[Path]
) -> None:
    i_in1, i_in2 = int(generator.integers(len(irreps_in1))), int(generator.integers(len(irreps_in2)))
    x, y = irreps_in1[i_in1], irreps_in2[i_in2]
    modes = [mode for mode in Mode if x.mul == y.mul or mode in (Mode.UVW, Mode.UVU, Mode.UVV, Mode.UVUV)]
    mode = modes[int(generator.integers(len(modes)))]
    degree = int(generator.integers(abs(x.l - y.l), x.l + y.l + 1))
    weighted = mode in (Mode.UVW, Mode.UVW_PAIRS, Mode.UUW) or bool(generator.integers(2))
    copies = mode.copies_out(x.mul, y.mul)
    item = MulIrrep(int(generator.integers(1, 4)) if copies is None else copies, degree, x.p * y.p)
    if item not in out or generator.integers(2):
        out.append(item)
    coefficient = float(generator.uniform(0.3, 3.0))
    paths.append(Path(i_in1, i_in2, out.index(item), mode, weighted, coefficient))
