"""A problem from irreps as one writes them: every path of one mode that the selection rules allow, normalised as in e3nn."""

from __future__ import annotations

from math import sqrt

from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.problem import Mode, Path, Problem

Triple = tuple[int, int, int]


def problem_from_irreps(in1: str, in2: str, out: str | None, mode: Mode, *, shared_weights: bool, dtype: str) -> Problem:
    """All allowed weighted paths of ``mode``; without ``out``, each path gets an output of its own.

    Coefficients are those of e3nn's defaults (component normalisation, `element` path normalisation):
    ``sqrt((2 l3 + 1) / fan)``, ``fan`` being the number of terms summed into one component of the output. Raises ValueError
    where nothing couples, or where ``mode`` leaves the copies of an omitted ``out`` open.
    """
    rep1, rep2 = Irreps.parse(in1), Irreps.parse(in2)
    rep3, triples = _own_outputs(rep1, rep2, mode) if out is None else _given_outputs(rep1, rep2, Irreps.parse(out), mode)
    if not triples:
        raise ValueError(f"no path of mode {mode.value} leads from {rep1} x {rep2}" + (f" to {rep3}" if out else ""))
    paths = tuple(_path(triple, triples, (rep1, rep2, rep3), mode) for triple in triples)
    return Problem(rep1, rep2, rep3, paths, shared_weights, dtype)


def _own_outputs(rep1: Irreps, rep2: Irreps, mode: Mode) -> tuple[Irreps, list[Triple]]:
    pairs = [(i, j) for i, x in enumerate(rep1) for j, y in enumerate(rep2) if _pair(mode, x, y)]
    couplings = [(i, j, degree) for i, j in pairs for degree in _degrees(rep1[i], rep2[j])]
    outputs = Irreps(tuple(_output(rep1[i], rep2[j], degree, mode) for i, j, degree in couplings))
    return outputs, [(i, j, k) for k, (i, j, _) in enumerate(couplings)]


def _output(x: MulIrrep, y: MulIrrep, degree: int, mode: Mode) -> MulIrrep:
    copies = mode.copies_out(x.mul, y.mul)
    if copies is None:
        raise ValueError(f"mode {mode.value} leaves the copies of the output open: write OUT as well")
    return MulIrrep(copies, degree, x.p * y.p)


def _given_outputs(rep1: Irreps, rep2: Irreps, rep3: Irreps, mode: Mode) -> tuple[Irreps, list[Triple]]:
    """Every triple that parity, triangle rule and the numbers of copies allow, in e3nn's order."""
    every = [(i, j, k) for i in range(len(rep1)) for j in range(len(rep2)) for k in range(len(rep3))]
    return rep3, [(i, j, k) for i, j, k in every if _fits(mode, rep1[i], rep2[j], rep3[k])]


def _fits(mode: Mode, x: MulIrrep, y: MulIrrep, out: MulIrrep) -> bool:
    allowed = out.l in _degrees(x, y) and out.p == x.p * y.p and _pair(mode, x, y)
    return allowed and mode.copies_out(x.mul, y.mul) in (None, out.mul)


def _degrees(x: MulIrrep, y: MulIrrep) -> range:
    return range(abs(x.l - y.l), x.l + y.l + 1)


def _pair(mode: Mode, x: MulIrrep, y: MulIrrep) -> bool:
    """Whether copies of x and y combine at all: modes with one letter for both need as many of each."""
    return x.mul == y.mul or mode.letters[0] != mode.letters[1]


def _path(triple: Triple, triples: list[Triple], reps: tuple[Irreps, Irreps, Irreps], mode: Mode) -> Path:
    i, j, k = triple
    fan = sum(_fan(mode, reps[0][a].mul, reps[1][b].mul) for a, b, c in triples if c == k)
    return Path(i, j, k, mode, True, sqrt((2 * reps[2][k].l + 1) / max(fan, 1)))


def _fan(mode: Mode, u: int, v: int) -> int:
    """Terms that one path sums into a component of its output."""
    fans = {Mode.UVW: u * v, Mode.UVU: v, Mode.UVV: u, Mode.UUW: u, Mode.UVW_PAIRS: u * (v - 1) // 2}
    return fans.get(mode, 1)
