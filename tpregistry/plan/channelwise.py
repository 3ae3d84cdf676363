"""Any tensor product as a product channel by channel, and what is left to do before and after it.

`uvw`, `uuw` and `u<vw` mix channels with a dense matrix: what precedes it is an unweighted `uvuv` (`uvu`, `uuu`) product
into a piece of its own; where it only scales vectors by scalars, see `scaling`. The pairs u < v are pieces of x and y
gathered at those pairs, then a `uuu` product.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.plan.scaling import Scaling, scales_vectors, scaling
from tpregistry.problem import Mode, Path, Problem


@dataclass(frozen=True)
class Mix:
    """``out[:, w, k] += sum_c weights[c, w] * product[:, c, k]``: places in the inner product, in w and in out.

    A path without weights (`uuw` to one copy) has None and is a sum over c.
    """

    product: slice
    weights: slice | None
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
    mixes: tuple[Mix, ...] = ()
    scalings: tuple[Scaling, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the inner problem is the problem itself."""
        return self.x is None and self.y is None and self.weights is None and self.pieces is None


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
    split = _Split(problem)
    for number, shape in enumerate(problem.path_shapes):
        if 0 not in shape:
            split.add(number)
    return split.result()


class _Split:
    """The inner problem, growing path by path."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.x, self.y = _Columns(problem.irreps_in1), _Columns(problem.irreps_in2)
        self.paths: list[Path] = []
        self.out: list[MulIrrep] = []
        self.kept: dict[int, int] = {}
        self.mixed: list[tuple[int, int]] = []
        self.scalings: list[Scaling] = []
        self.weights: list[slice] = []

    def add(self, number: int) -> None:
        """The inner path of a path, to the piece of out that it shares with others or to one of its own."""
        if scales_vectors(self.problem, number):
            self.scalings.append(scaling(self.problem, number))
            return
        path, piece = self.problem.paths[number], _mixed_piece(self.problem, number)
        if piece is not None:
            self.mixed.append((len(self.out), number))
            self.out.append(piece)
            target = len(self.out) - 1
        else:
            target = self._shared_piece(path.i_out)
            place = self.problem.weight_slices[number]
            self.weights += [place] if place is not None else []
        self.paths.append(replace(_inner_path(self.problem, path, self.x, self.y), i_out=target))

    def _shared_piece(self, i_out: int) -> int:
        if i_out not in self.kept:
            self.kept[i_out] = len(self.out)
            self.out.append(self.problem.irreps_out[i_out])
        return self.kept[i_out]

    def _in_order(self) -> None:
        """Where nothing is mixed afterwards, pieces come as in out, whatever the order of the paths: none has to be moved then."""
        if self.mixed or self.scalings:
            return
        order = sorted(self.kept)
        places = {self.kept[i_out]: place for place, i_out in enumerate(order)}
        self.paths = [replace(path, i_out=places[path.i_out]) for path in self.paths]
        self.out = [self.problem.irreps_out[i_out] for i_out in order]
        self.kept = {i_out: place for place, i_out in enumerate(order)}

    def result(self) -> Channelwise:
        """What stayed as it was is None."""
        self._in_order()
        (irreps_in1, x), (irreps_in2, y) = self.x.all(), self.y.all()
        changes = {"irreps_in1": irreps_in1, "irreps_in2": irreps_in2, "irreps_out": Irreps(tuple(self.out))}
        inner = self.problem.at(**changes, paths=tuple(self.paths))
        places, theirs = inner.irreps_out.slices(), self.problem.irreps_out.slices()
        same = list(self.kept.items()) == [(n, n) for n in range(len(self.problem.irreps_out))]
        whole = same and not self.mixed and not self.scalings
        pieces = None if whole else tuple((places[ours], theirs[i_out]) for i_out, ours in self.kept.items())
        all_weights = sum(place.stop - place.start for place in self.weights) == self.problem.weight_numel
        mixes = tuple(_mix(self.problem, places[ours], number) for ours, number in self.mixed)
        return Channelwise(inner, x, y, None if all_weights else tuple(self.weights), pieces, mixes, tuple(self.scalings))


MIXING = (Mode.UVW, Mode.UUW, Mode.UVW_PAIRS)


def _inner_path(problem: Problem, path: Path, x: _Columns, y: _Columns) -> Path:
    """The path channel by channel; its ``i_out`` is still the problem's."""
    u, v = problem.irreps_in1[path.i_in1].mul, problem.irreps_in2[path.i_in2].mul
    has_weight = path.has_weight and path.mode not in MIXING
    if path.mode.paired:
        rows, columns = np.triu_indices(u, k=1)
        pieces = x.gathered(path.i_in1, rows), y.gathered(path.i_in2, columns)
        return replace(path, i_in1=pieces[0], i_in2=pieces[1], mode=Mode.UUU, has_weight=has_weight)
    inner = {Mode.UVW: Mode.UVU if v == 1 else Mode.UVV if u == 1 else Mode.UVUV, Mode.UUW: Mode.UUU}
    return replace(path, mode=inner.get(path.mode, path.mode), has_weight=has_weight)


def _mixed_piece(problem: Problem, number: int) -> MulIrrep | None:
    """The inner piece of a path whose channels are mixed afterwards: a copy for each row of its weight matrix."""
    path = problem.paths[number]
    if path.mode not in MIXING:
        return None
    item, shape = problem.irreps_out[path.i_out], problem.path_shapes[number]
    return MulIrrep(prod(shape[:-1]), item.l, item.p)


def _mix(problem: Problem, product: slice, number: int) -> Mix:
    place, shape = problem.weight_slices[number], problem.path_shapes[number]
    return Mix(product, place, problem.irreps_out.slices()[problem.paths[number].i_out], prod(shape[:-1]), shape[-1])
