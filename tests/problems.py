"""Random tensor products for hypothesis: all modes, unsorted, of both parities, repeated and empty pieces, shared outputs."""

from __future__ import annotations

from hypothesis import strategies as st

from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.problem import Mode, Path, Problem

SAME_COPIES = (Mode.UUW, Mode.UUU, Mode.UVU_PAIRS, Mode.UVW_PAIRS)
ALWAYS_WEIGHTED = (Mode.UVW, Mode.UVW_PAIRS)

copies = st.integers(0, 5)
degrees = st.integers(0, 3)
parities = st.sampled_from([1, -1])


@st.composite
def problems(draw: st.DrawFn, dtype: str = "float64") -> Problem:
    """One to five paths, between pieces of which many have as many copies as another."""
    usual = draw(copies)
    piece = st.builds(MulIrrep, st.just(usual) | copies, degrees, parities)
    rep1, rep2 = (draw(st.lists(piece, min_size=1, max_size=3)) for _ in range(2))
    out: list[MulIrrep] = []
    paths = draw(st.permutations([draw(_paths(rep1, rep2, out)) for _ in range(draw(st.integers(1, 5)))]))
    shared = draw(st.booleans()) or not any(path.has_weight for path in paths)
    return Problem(Irreps(tuple(rep1)), Irreps(tuple(rep2)), Irreps(tuple(out)), tuple(paths), shared, dtype, batch=64)


@st.composite
def _paths(draw: st.DrawFn, rep1: list[MulIrrep], rep2: list[MulIrrep], out: list[MulIrrep]) -> Path:
    i, j = draw(st.integers(0, len(rep1) - 1)), draw(st.integers(0, len(rep2) - 1))
    x, y = rep1[i], rep2[j]
    mode = draw(st.sampled_from([mode for mode in Mode if x.mul == y.mul or mode not in SAME_COPIES]))
    weighted = mode in ALWAYS_WEIGHTED or draw(st.booleans())
    item = MulIrrep(_copies_out(draw, mode, x.mul, y.mul, weighted), draw(st.integers(abs(x.l - y.l), x.l + y.l)), x.p * y.p)
    if item not in out or draw(st.booleans()):
        out.append(item)
    return Path(i, j, out.index(item), mode, weighted, draw(st.floats(0.25, 4.0)))


def _copies_out(draw: st.DrawFn, mode: Mode, u: int, v: int, weighted: bool) -> int:
    if mode is Mode.UUW and not weighted:
        return 1
    fixed = mode.copies_out(u, v)
    return draw(st.integers(1, 4)) if fixed is None else fixed
