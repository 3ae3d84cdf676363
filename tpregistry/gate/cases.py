"""The inputs on which a kernel is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tpregistry.frame import Array, Operands
from tpregistry.gate.elements import one_hot, with_elements
from tpregistry.graph import Edges
from tpregistry.layout import Layout
from tpregistry.problem import Problem
from tpregistry.so3 import irreps_matrix
from tpregistry.store.evidence import BATCHES, LAYOUTS, checked_order, scale_factors

ODD = 33
"""Samples of the main case: odd, and enough of them for a fair scale of each block."""

_ROUNDING = {"float64": 0, "float32": 29, "float16": 42, "bfloat16": 45}


@dataclass(frozen=True)
class Case:
    """One evaluation: ``order`` derivatives, and ``tiles`` copies of the main case where the batch is large.

    The scales of its blocks are at least those of the case that it is ``like``: few samples have no fair ones. One that
    ``repeats`` has the numbers of the main one.
    """

    name: str
    operands: Operands
    order: int
    tiles: int = 1
    like: str = "main"
    repeats: bool = False


def cases(problem: Problem, seed: int, bucket_tiles: int, batches: Sequence[int] = BATCHES) -> list[Case]:
    """All cases of a problem, the main one first; ``batches`` are further numbers of samples."""
    order = checked_order(problem)
    main = draw(problem, ODD, seed)
    own_scale = {
        **{f"scale {scale:g}": _scaled(problem, main, scale) for scale in scale_factors(problem)},
        "rotated": _turned(problem, main, inversion=False),
        "inverted": _turned(problem, main, inversion=True),
    }
    found = [
        Case("main", main, order),
        Case("repeated", main, order, repeats=True),
        Case("one sample", draw(problem, 1, seed + 1), order),
        Case("no sample", draw(problem, 0, seed + 2), order),
        *(_laid(problem, main, layout, order) for layout in LAYOUTS),
        *(Case(f"{count} samples", draw(problem, count, seed + count), order) for count in batches),
        *(Case(name, operands, order, like=name) for name, operands in own_scale.items()),
    ]
    found += with_elements(problem, main, order)
    if bucket_tiles > 1:
        tiled = _tiled(problem, main, bucket_tiles)
        found.append(Case("bucket", tiled, problem.derivatives, bucket_tiles, repeats=True))
    return found


def _laid(problem: Problem, main: Operands, layout: Layout, order: int) -> Case:
    """The main case in another layout; where all rows are one, that is what they hold."""
    if layout is not Layout.EXPANDED:
        return Case(layout, replace(main, layout=layout), order, repeats=True)
    shared = ("w", "c") if problem.shared_weights else ()
    values = {n: value if n in shared else np.repeat(value[:1], len(value), axis=0) for n, value in main.values.items()}
    return Case(layout, replace(main, values=values, layout=layout), order)


def filled(problem: Problem, operands: Operands) -> Operands:
    """The same samples followed by others of no weight, up to those of the main case; graphs stay as they are.

    Zero cotangents contribute nothing to sums over samples, and frameworks that compile for a batch do so once.
    """
    if problem.convolves:
        return operands
    main = draw(problem, ODD, 0).values
    padding = {name: value if name in ("x", "y", "w") else np.zeros_like(value) for name, value in main.items()}
    shared = ("w", "c") if problem.shared_weights else ()
    values = {n: v if n in shared else np.concatenate([v, padding[n][len(v) :]]) for n, v in operands.values.items()}
    return replace(operands, values=values)


def fitting_batch(problem: Problem, batch: int, free_bytes: int) -> int:
    """As many samples of ``batch`` as fit into half of the free memory with all derivatives."""
    row = sum(irreps.dim for irreps in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out))
    row += 0 if problem.shared_weights else problem.weight_numel
    row_bytes = row * {"float64": 8, "float32": 4}.get(problem.dtype, 2)
    return int(max(1, min(batch, free_bytes // 2 // 16 // max(1, row_bytes))))


def draw(problem: Problem, batch: int, seed: int) -> Operands:
    """Normal inputs and cotangents, representable in the problem's dtype, so that the reference sees the same numbers."""
    generator = np.random.default_rng(seed)
    sizes = {"x": problem.irreps_in1.dim, "y": problem.irreps_in2.dim, "w": problem.weight_numel, "g": problem.irreps_out.dim}
    sizes |= {"a": sizes["x"], "b": sizes["y"], "c": sizes["w"]}
    edges = draw_edges(problem, batch, generator) if problem.convolves else None
    rows = dict.fromkeys(sizes, batch)
    if edges is not None:
        rows |= {"x": edges.sending, "a": edges.sending, "g": edges.nodes}
    values = {}
    for name, size in sizes.items():
        shared = name in ("w", "c") and problem.shared_weights
        values[name] = round_to(generator.standard_normal((size,) if shared else (rows[name], size)), problem.dtype)
    if problem.contracts:
        values["y"] = one_hot(problem, batch, generator)
    return Operands(values, graph=edges, constant=("y",) if problem.contracts else ())


def draw_edges(problem: Problem, count: int, generator: np.random.Generator) -> Edges:
    """As many edges per receiver as the problem has, in no order, some of them twice; more senders than receivers, as where
    a process holds copies of its neighbours' atoms. A few nodes have no edge."""
    nodes = max(3, round(count * problem.nodes / max(1, problem.batch)))
    sending = nodes + 2
    return Edges(generator.integers(0, sending - 1, count), generator.integers(0, nodes - 1, count), sending, nodes)


def round_to(array: Array, dtype: str) -> Array:
    """float64 numbers with no more mantissa than ``dtype`` has."""
    drop = _ROUNDING[dtype]
    if not drop:
        return array
    bits = array.view(np.int64) + (1 << (drop - 1))
    return (bits >> drop << drop).view(np.float64)


def _scaled(problem: Problem, main: Operands, scale: float) -> Operands:
    scaled = {name: round_to(main.values[name] * scale, problem.dtype) for name in ("x", "y")}
    return replace(main, values=main.values | scaled)


def _turned(problem: Problem, main: Operands, inversion: bool) -> Operands:
    turned = {}
    for name, irreps in (("x", problem.irreps_in1), ("y", problem.irreps_in2)):
        matrix = irreps_matrix(irreps, turn_vector(inversion), inversion)
        order = np.concatenate(irreps.by_channel()) if name == "x" and problem.contracts else slice(None)
        turned[name] = np.zeros_like(main.values[name])
        turned[name][:, order] = round_to(main.values[name][:, order] @ matrix.T, problem.dtype)
    return replace(main, values=main.values | turned)


def turn_vector(inversion: bool) -> Array:
    """Axis times angle of the rotation in the equivariance check; inversion alone does not turn."""
    return np.zeros(3) if inversion else np.array([0.7, -1.1, 0.4])


def _tiled(problem: Problem, main: Operands, tiles: int) -> Operands:
    shared = ("w", "c") if problem.shared_weights else ()
    values = {name: value if name in shared else np.tile(value, (tiles, 1)) for name, value in main.values.items()}
    return replace(main, values=values, graph=main.graph.tiled(tiles) if main.graph else None)
