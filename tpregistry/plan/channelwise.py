"""Any tensor product as a product channel by channel, and what is left to do before and after it.

`uvw`, `uuw` and `u<vw` mix channels with a dense matrix: what precedes it is an unweighted `uvuv` (`uvu`, `uuu`) product
into a piece of its own. The pairs u < v are pieces of x and y gathered at those pairs, then a `uuu` product.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np

from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.problem import Mode, Path, Problem


@dataclass(frozen=True)
class Mix:
    """``out[:, w, k] += sum_c weights[c, w] * product[:, c, k]``: places in the inner product, in w and in out."""

    product: slice
    weights: slice
    out: slice
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Channelwise:
    """An inner problem, and the indices that lead to it and from it; an index that changes nothing is None.

    ``x`` and ``y`` gather the inner operands from the columns of the problem's; ``weights`` and ``pieces`` are the slices
    of w that the inner problem takes, and where its pieces go: (inner slice, slice of out).
    """

    inner: Problem
    x: np.ndarray | None
    y: np.ndarray | None
    weights: tuple[slice, ...] | None
    pieces: tuple[tuple[slice, slice], ...] | None
    mixes: tuple[Mix, ...]


@dataclass
class _Columns:
    """Pieces of an operand, and copies of them gathered at pairs."""

    irreps: Irreps
    items: list[MulIrrep] = field(default_factory=list)
    index: list[np.ndarray] = field(default_factory=list)

    def gathered(self, number: int, copies: np.ndarray) -> int:
        """The number of a new piece that holds some copies of another."""
        item, start = self.irreps[number], self.irreps.offsets[number]
        size = 2 * item.l + 1
        self.items.append(MulIrrep(len(copies), item.l, item.p))
        self.index.append((start + copies[:, None] * size + np.arange(size)).reshape(-1))
        return len(self.irreps) + len(self.items) - 1

    def all(self) -> tuple[Irreps, np.ndarray | None]:
        """All pieces, and the columns they are read from."""
        if not self.items:
            return self.irreps, None
        return Irreps((*self.irreps, *self.items)), np.concatenate([np.arange(self.irreps.dim), *self.index])


def channelwise(problem: Problem) -> Channelwise:
    """Split a problem; one that is channel by channel already stays whole. Paths without copies are left out."""
    x, y = _Columns(problem.irreps_in1), _Columns(problem.irreps_in2)
    out: list[MulIrrep] = []
    kept: dict[int, int] = {}
    paths, weights, mixes = [], [], []
    for number, path in enumerate(problem.paths):
        if 0 in problem.path_shapes[number]:
            continue
        inner, mixed = _inner_path(problem, path, x, y)
        if mixed is None:
            target = kept.setdefault(path.i_out, len(out))
            if target == len(out):
                out.append(problem.irreps_out[path.i_out])
            weights += [problem.weight_slices[number]] if path.has_weight else []
        else:
            target = len(out)
            out.append(mixed)
            mixes.append((target, number))
        paths.append(Path(**(inner | {"i_out": target})))
    (irreps1, x_index), (irreps2, y_index) = x.all(), y.all()
    reduced = problem.at(irreps_in1=irreps1, irreps_in2=irreps2, irreps_out=Irreps(tuple(out)), paths=tuple(paths))
    pieces = tuple((reduced.irreps_out.slices()[inner], problem.irreps_out.slices()[i_out]) for i_out, inner in kept.items())
    whole = not mixes and reduced.irreps_out == problem.irreps_out
    all_weights = sum(place.stop - place.start for place in weights) == problem.weight_numel
    return Channelwise(
        problem.at(paths=tuple(paths), irreps_in1=irreps1, irreps_in2=irreps2) if whole else reduced,
        x_index,
        y_index,
        None if all_weights else tuple(weights),
        None if whole else pieces,
        tuple(_mix(problem, reduced, target, number) for target, number in mixes),
    )


def _inner_path(problem: Problem, path: Path, x: _Columns, y: _Columns) -> tuple[dict, MulIrrep | None]:
    """The inner path's fields, and the piece of its own that it needs where it is mixed afterwards."""
    fields = {name: getattr(path, name) for name in ("i_in1", "i_in2", "coefficient", "rounding", "mode", "has_weight")}
    u, v = problem.irreps_in1[path.i_in1].mul, problem.irreps_in2[path.i_in2].mul
    item = problem.irreps_out[path.i_out]
    if path.mode.paired:
        rows, columns = np.triu_indices(u, k=1)
        fields |= {"i_in1": x.gathered(path.i_in1, rows), "i_in2": y.gathered(path.i_in2, columns), "mode": Mode.UUU}
        copies = len(rows)
    else:
        copies = u if path.mode is Mode.UUW else u * v
    if path.mode not in (Mode.UVW, Mode.UUW, Mode.UVW_PAIRS):
        return fields, None
    if path.mode is Mode.UVW:
        fields["mode"] = Mode.UVU if v == 1 else Mode.UVV if u == 1 else Mode.UVUV
    elif path.mode is Mode.UUW:
        fields["mode"] = Mode.UUU
    return fields | {"has_weight": False}, MulIrrep(copies, item.l, item.p)


def _mix(problem: Problem, reduced: Problem, target: int, number: int) -> Mix:
    path, place = problem.paths[number], problem.weight_slices[number]
    assert place is not None, "paths that mix channels have weights"
    shape = problem.path_shapes[number]
    return Mix(reduced.irreps_out.slices()[target], place, problem.irreps_out.slices()[path.i_out], prod(shape[:-1]), shape[-1])
