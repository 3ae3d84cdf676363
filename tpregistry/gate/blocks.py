"""Errors block by block: one wrong path of many must not hide in the rms of a whole tensor."""

from __future__ import annotations

import numpy as np

from tpregistry.frame import Array
from tpregistry.problem import Problem

Places = range | np.ndarray

SMALLEST = 0.05
"""A block's scale is at least this fraction of its tensor's: blocks that cancel by chance are not held to nothing."""


class Blocks:
    """Where the blocks of each quantity lie: irreps of x, y and out, paths of w."""

    def __init__(self, problem: Problem) -> None:
        self._names = _names(problem)
        operands = {"x": _indices(problem.irreps_in1.slices()), "y": _indices(problem.irreps_in2.slices()), "w": _weights(problem)}
        if problem.contracts:
            operands["x"] = [np.array(places) for places in problem.irreps_in1.by_channel()]
        operands["g"] = operands["out"] = _indices(problem.irreps_out.slices())
        self._places = {name: [place for place in places if len(place)] for name, places in operands.items()}

    def name(self, quantity: str, number: int) -> str:
        """A block as its owner knows it: a path of w, an irrep of the others."""
        return self._names[quantity.lstrip("d")][number]

    def of(self, quantity: str, array: Array) -> list[Array]:
        """The blocks of one quantity (out, dx, ddw...)."""
        places = self._places[quantity.lstrip("d")]
        return [array[..., place.start : place.stop] if isinstance(place, range) else array[..., place] for place in places]


def _indices(places: list[slice]) -> list[Places]:
    return [range(place.start, place.stop) for place in places]


def _weights(problem: Problem) -> list[Places]:
    """Of each path."""
    if problem.powers is None:
        return _indices([place for place in problem.weight_slices if place is not None])
    numbers = np.arange(problem.weight_numel).reshape(problem.irreps_in2.dim, -1, problem.channels)
    return [numbers[:, path].ravel() for path in range(numbers.shape[1])]


def _names(problem: Problem) -> dict[str, list[str]]:
    """Names of the blocks that are not empty."""
    irreps = {"x": problem.irreps_in1, "y": problem.irreps_in2, "out": problem.irreps_out, "g": problem.irreps_out}
    found = {name: [f"irrep {n}, {item}" for n, item in enumerate(rep) if item.mul] for name, rep in irreps.items()}
    ends = [(problem.irreps_in1[p.i_in1], problem.irreps_in2[p.i_in2], problem.irreps_out[p.i_out]) for p in problem.paths]
    places = enumerate(zip(problem.weight_slices, ends, strict=True))
    paths = [
        f"path {n}, {x} x {y} -> {out}" for n, (place, (x, y, out)) in places if place is not None and place.start < place.stop
    ]
    if problem.powers is not None:
        ends = zip(problem.irreps_out, problem.powers.paths, strict=True)
        paths = [f"path {n}, power {power} -> {out}" for out, counts in ends for power, c in enumerate(counts, 1) for n in range(c)]
    return found | {"w": paths}


def scales(blocks: Blocks, values: dict[str, Array]) -> dict[str, list[float]]:
    """Root mean square of each block of each quantity, kept from vanishing beside its tensor's."""
    return {name: _scales(blocks.of(name, value), _rms(value)) for name, value in values.items()}


def _scales(parts: list[Array], whole: float) -> list[float]:
    return [max(_rms(part), SMALLEST * whole) or 1.0 for part in parts]


def largest_error(blocks: Blocks, quantity: str, values: Array, expected: Array, scale: list[float]) -> float:
    """The largest error of any block in units of its scale; infinite where shapes differ or NaN turns up."""
    return max(_errors(blocks, quantity, values, expected, scale), default=0.0)


def worst_block(blocks: Blocks, quantity: str, values: Array, expected: Array, scale: list[float]) -> str:
    """The name of the block with that error, and what it is where that is simple; empty where there is none to name."""
    errors = _errors(blocks, quantity, values, expected, scale)
    if values.shape != expected.shape or not errors:
        return ""
    number = int(np.argmax(errors))
    manner = _manner(blocks.of(quantity, values)[number], blocks.of(quantity, expected)[number])
    return blocks.name(quantity, number) + (f", {manner}" if manner else "")


def _manner(ours: Array, theirs: Array) -> str:
    """The commonest faults by name: something left out, a factor."""
    if not np.any(ours):
        return "all zeros"
    square = float(np.sum(theirs * theirs))
    factor = float(np.sum(ours * theirs)) / square if square else 0.0
    alike = np.isfinite(factor) and np.allclose(
        ours, factor * theirs, rtol=1e-4, atol=1e-4 * abs(factor) * np.sqrt(square / theirs.size)
    )
    return f"{factor:.6g} times what is right" if alike and factor else ""


def _errors(blocks: Blocks, quantity: str, values: Array, expected: Array, scale: list[float]) -> list[float]:
    if values.shape != expected.shape:
        return [float("inf")]
    parts = zip(blocks.of(quantity, values), blocks.of(quantity, expected), scale, strict=True)
    errors = (float(np.max(np.abs(ours - theirs), initial=0.0)) / unit for ours, theirs, unit in parts)
    return [float("inf") if np.isnan(error) else error for error in errors]


def _rms(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0
