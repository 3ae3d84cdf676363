"""The tensor products of published models, as their constructors print them: what speed is measured on.

Channel-wise ones (`uvu`) have external weights per sample; `uvw` ones share theirs. Each path of a `uvu` product has an
output of its own, in e3nn's order; coefficients are those of component normalisation.
"""

from __future__ import annotations

from dataclasses import replace

from tpregistry.from_irreps import problem_from_irreps
from tpregistry.irreps import Irreps
from tpregistry.problem import Mode, Problem

_UVU = {
    "mace layer 1": ("128x0e", "0e+1o+2e+3o", "0e+1o+2e+3o"),
    "mace-mp-0 medium layer 2": ("128x0e+128x1o", "0e+1o+2e+3o", "0e+1o+2e+3o"),
    "mace L=2 layer 2": ("128x0e+128x1o+128x2e", "0e+1o+2e+3o", "0e+1o+2e+3o"),
    "nequip S last": ("128x0e+64x1o", "0e+1o", "0e"),
    "nequip L first": ("32x0e", "0e+1o+2e+3o", "0e+1o+2e+3o"),
    "nequip L inner": ("128x0e+64x1o+32x2e+32x3o", "0e+1o+2e+3o", "0e+1o+2e+3o"),
    "nequip L last": ("128x0e+64x1o+32x2e+32x3o", "0e+1o+2e+3o", "0e"),
    "nequip XL inner": ("320x0e+96x1o+64x2e+32x3o+32x4e", "0e+1o+2e+3o+4e", "0e+1o+2e+3o+4e"),
    "nequip with parity": ("32x0e+32x1e+32x1o+32x2e+32x2o", "0e+1o+2e", "0e+0o+1e+1o+2e+2o"),
    "sevennet-0 first": ("128x0e", "0e+1e+2e", "0e+1e+2e"),
    "sevennet-0 inner": ("128x0e+64x1e+32x2e", "0e+1e+2e", "0e+1e+2e"),
    "sevennet-0 last": ("128x0e+64x1e+32x2e", "0e+1e+2e", "0e"),
    "sevennet-l3i5 inner": ("128x0e+64x1e+32x2e+32x3e", "0e+1e+2e+3e", "0e+1e+2e+3e"),
}
_UVW = {
    "mace skip connection": ("128x0e+128x1o+128x2e+128x3o", "10x0e", "128x0e+128x1o+128x2e+128x3o"),
    "nequip self-connection": ("128x0e+64x1o+32x2e+32x3o", "32x0e", "256x0e+64x1o+32x2e+32x3o"),
}


def real_problems(dtype: str = "float32") -> dict[str, Problem]:
    """All of them by name, the `uvu` ones first."""
    dense = {name: problem_from_irreps(*texts, Mode.UVW, shared_weights=True, dtype=dtype) for name, texts in _UVW.items()}
    return {name: channelwise_problem(*texts, dtype) for name, texts in _UVU.items()} | dense


def channelwise_problem(in1: str, in2: str, kept: str, dtype: str) -> Problem:
    """The `uvu` product with every path to an irrep of ``kept``, each to an output of its own, in e3nn's order."""
    every = problem_from_irreps(in1, in2, None, Mode.UVU, shared_weights=False, dtype=dtype)
    allowed = {(item.l, item.p) for item in Irreps.parse(kept)}
    pieces = [n for n, item in enumerate(every.irreps_out) if (item.l, item.p) in allowed]
    pieces.sort(key=lambda n: (every.irreps_out[n].l, -every.irreps_out[n].p * (-1) ** every.irreps_out[n].l))
    paths = tuple(replace(every.paths[old], i_out=new) for new, old in enumerate(pieces))
    return every.at(irreps_out=Irreps(tuple(every.irreps_out[n] for n in pieces)), paths=paths)
