"""The tensor products of published models, as their constructors print them: what speed is measured on.

Channel-wise ones (`uvu`) have external weights per sample; `uvw` ones share theirs. Each path of a `uvu` product has an
output of its own, in e3nn's order; coefficients are those of component normalisation.
"""

from __future__ import annotations

from math import sqrt

from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.problem import Mode, Path, Problem

Triple = tuple[Irreps, Irreps, Irreps]

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
    channelwise = {name: _channelwise(_parsed(texts), dtype) for name, texts in _UVU.items()}
    return channelwise | {name: _fully_connected(_parsed(texts), dtype) for name, texts in _UVW.items()}


def _parsed(texts: tuple[str, str, str]) -> Triple:
    in1, in2, out = map(Irreps.parse, texts)
    return in1, in2, out


def _channelwise(irreps: Triple, dtype: str) -> Problem:
    irreps_in1, irreps_in2, kept = irreps
    allowed = {(item.l, item.p) for item in kept}
    found = [
        (_e3nn_order(degree, x.p * y.p), i, j, MulIrrep(x.mul, degree, x.p * y.p))
        for i, x in enumerate(irreps_in1)
        for j, y in enumerate(irreps_in2)
        for degree in range(abs(x.l - y.l), x.l + y.l + 1)
        if (degree, x.p * y.p) in allowed
    ]
    places = {number: place for place, number in enumerate(sorted(range(len(found)), key=lambda n: found[n][0]))}
    out = Irreps(tuple(item for _, _, _, item in sorted(found, key=lambda entry: entry[0])))
    paths = (Path(i, j, places[n], Mode.UVU, True, sqrt(2 * item.l + 1)) for n, (_, i, j, item) in enumerate(found))
    return Problem(irreps_in1, irreps_in2, out, tuple(sorted(paths, key=lambda path: path.i_out)), False, dtype)


def _e3nn_order(degree: int, parity: int) -> tuple[int, int]:
    return degree, -parity * (-1) ** degree


def _fully_connected(irreps: Triple, dtype: str) -> Problem:
    irreps_in1, irreps_in2, out = irreps
    paths = (
        Path(i, j, k, Mode.UVW, True, sqrt((2 * item.l + 1) / (x.mul * y.mul)))
        for i, x in enumerate(irreps_in1)
        for j, y in enumerate(irreps_in2)
        for k, item in enumerate(out)
        if abs(x.l - y.l) <= item.l <= x.l + y.l and x.p * y.p == item.p
    )
    return Problem(irreps_in1, irreps_in2, out, tuple(paths), True, dtype)
