"""Segmented polynomials as one differentiable torch kernel; over a graph by the indices that the library takes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import prod
from types import ModuleType
from typing import Any

import torch

from tpregistry.plan import Segment, plan_tensor_product
from tpregistry.problem import Problem
from tpregistry.torch.graph import Graph
from tpregistry_cuequivariance.library import load, quiet
from tpregistry_cuequivariance.polynomial import Group, groups, turned_shape

Tensor = torch.Tensor


class CuequivarianceKernel:
    """out = sum of groups; ``engine`` is the method, or methods, by which they run."""

    def __init__(self, problem: Problem, device: str) -> None:
        cue, cuet = load(device)
        found = groups(plan_tensor_product(problem), cue)
        self._products = [Product(group, cuet, problem.dtype, device) for group in found]
        self._pieces = [(place.start, place.stop - place.start) for place in problem.irreps_out.slices()]
        self.engine = "+".join(sorted({product.method for product in self._products})) or "zeros"

    def __call__(self, x: Tensor, y: Tensor, w: Tensor, *, graph: Graph | None = None) -> Tensor:
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out).

        Of a convolution, x has a row for each sender, and out one for each receiver.
        """
        sums: dict[int, Tensor] = {}
        for product in self._products if len(y) else ():
            for start, value in product(x, y, w, graph):
                sums[start] = sums[start] + value if start in sums else value
        rows = len(x) if graph is None else graph.nodes
        parts = [sums[start] if start in sums else x.new_zeros(rows, size) for start, size in self._pieces if size]
        return torch.cat(parts, dim=1) if parts else x.new_zeros(rows, 0)


class Product:
    """One group by the first method that takes its polynomial."""

    def __init__(self, group: Group, cuet: ModuleType, dtype: str, device: str) -> None:
        self.group = group
        with quiet():
            self._module = module(group, cuet, getattr(torch, dtype), device).to(device)
        self.method: str = self._module.method
        self._inputs = [(name, getattr(group, name)) for name in ("w", "x", "y") if getattr(group, name)]
        self._sizes = [prod(segment.shape) for segment in group.out]
        self._ones = torch.ones(1, sum(prod(segment.shape) for segment in group.ones), dtype=getattr(torch, dtype), device=device)

    def __call__(self, x: Tensor, y: Tensor, w: Tensor, graph: Graph | None) -> Iterator[tuple[int, Tensor]]:
        """Where each piece of out starts, and what is added to it."""
        operands = {"x": x, "y": y, "w": w if w.ndim == 2 else w[None]}
        inputs = [read(pieces, operands[name]) for name, pieces in self._inputs]
        (out,) = self._module([self._ones, *inputs] if self.group.ones else inputs, **self._indices(x, graph))
        for segment, part in zip(self.group.out, torch.split(out, self._sizes, dim=1), strict=True):
            yield segment.start, part.unflatten(1, turned_shape(segment)).movedim(1, -1).flatten(1)

    def _indices(self, x: Tensor, graph: Graph | None) -> dict[str, dict[int, Tensor]]:
        """Where rows of x are read, and those of the result added; of ``output_shapes`` the library reads the number of rows."""
        if graph is None:
            return {}
        rows = {0: x.new_empty(graph.nodes, 0)}
        return {"input_indices": {self.group.x_place: graph.senders}, "output_shapes": rows, "output_indices": {0: graph.receivers}}


def methods(device: str) -> tuple[str, ...]:
    """Those for a device that not every polynomial is fit for, the fastest first."""
    return ("uniform_1d", "fused_tp") if torch.device(device).type == "cuda" else ()


def module(group: Group, cuet: ModuleType, dtype: torch.dtype, device: str) -> Any:
    """By the first method that takes the polynomial, else by `naive`; so, unasked, where the library for GPUs is not there.

    `uniform_1d` of 0.13 looks at sizes only: two indices of as many copies each would be taken for one.
    """
    for method in methods(device):
        if method == "uniform_1d" and not group.uniform:
            continue
        try:
            return cuet.SegmentedPolynomial(group.polynomial, method=method, math_dtype=dtype)
        except (AssertionError, NotImplementedError, ValueError):  # how each says that a polynomial is not of its form
            continue
    return cuet.SegmentedPolynomial(group.polynomial, method="naive", math_dtype=dtype)


def read(pieces: tuple[Segment, ...], operand: Tensor) -> Tensor:
    """The pieces of an operand side by side, components before copies; in place where they lie so already."""
    consecutive = all(left.stop == right.start for left, right in pairwise(pieces))
    if consecutive and all(_lies_so(segment) for segment in pieces):
        return operand[:, pieces[0].start : pieces[-1].stop].contiguous()
    return torch.cat([_turned(segment, operand) for segment in pieces], dim=1)


def _lies_so(segment: Segment) -> bool:
    return segment.gather is None and (not segment.components or 1 in (segment.shape[-1], prod(segment.shape[:-1])))


def _turned(segment: Segment, operand: Tensor) -> Tensor:
    piece = operand[:, segment.start : segment.stop].unflatten(1, segment.shape)
    if segment.gather is not None:
        piece = piece[:, list(segment.gather)]
    return piece.movedim(-1, 1).flatten(1) if segment.components else piece.flatten(1)
