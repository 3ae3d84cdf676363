"""A problem as OpenEquivariance's: coefficients as path weights without normalisation, weights in its order, with our signs."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import torch

from tpregistry.problem import Problem
from tpregistry.torch.graph import Graph
from tpregistry_openequivariance.library import load

Tensor = torch.Tensor
ENGINES = {"tensor_product": "loop unrolled, batched", "tensor_product_conv": "loop unrolled, atomics"}


class OpenequivarianceKernel:
    """Its batched tensor product, or its convolution by atomics; both are differentiable up to third order."""

    def __init__(self, problem: Problem, device: str) -> None:
        library = load()
        self.engine = ENGINES[problem.operation]
        make = library.TensorProductConv if problem.convolves else library.TensorProduct
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._product = make(theirs(problem, library)).to(device)
        self._order = weight_order(self._product, problem, device)
        self._signs = weight_signs(problem, device)
        self._size = problem.irreps_out.dim

    def __call__(self, x: Tensor, y: Tensor, w: Tensor, *, graph: Graph | None = None) -> Tensor:
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out).

        Of a convolution, x has a row for each sender, and out one for each receiver.
        """
        rows = len(x) if graph is None else graph.nodes
        if not len(y):
            return x.new_zeros(rows, self._size)
        if self._signs is not None:
            w = w * self._signs
        if self._order is not None:
            w = w.index_select(-1, self._order)
        if graph is None:
            return self._product(x.contiguous(), y.contiguous(), w.contiguous())
        nodes = torch.nn.functional.pad(x, (0, 0, 0, max(0, rows - len(x))))  # its nodes send and receive
        return self._product(nodes.contiguous(), y.contiguous(), w.contiguous(), graph.receivers, graph.senders)[:rows]


def theirs(problem: Problem, library: ModuleType) -> Any:
    """The problem in the library's words. Without normalisation a path's coefficient is the root of its path weight."""
    instructions = [(p.i_in1, p.i_in2, p.i_out, p.mode.value, p.has_weight, p.coefficient**2) for p in problem.paths]
    dtype = getattr(np, problem.dtype)
    return library.TPProblem(
        *(library.Irreps(str(irreps)) for irreps in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out)),
        instructions,
        irrep_normalization="none",
        path_normalization="none",
        internal_weights=False,
        shared_weights=problem.shared_weights,
        irrep_dtype=dtype,
        weight_dtype=dtype,
    )


def weight_order(product: Any, problem: Problem, device: str) -> Tensor | None:
    """Where each of its weights lies among the problem's; None where it is the same order (`uvu` with one copy of y)."""
    count = problem.weight_numel
    ours = torch.arange(count)
    order = product.reorder_weights_from_e3nn(ours if problem.shared_weights else ours[None], not problem.shared_weights)
    return None if torch.equal(order.reshape(-1), ours) else order.reshape(-1).to(device)


def weight_signs(problem: Problem, device: str) -> Tensor | None:
    """-1 for the weights of paths with negative coefficients, which its path weights cannot express; None without any."""
    if all(path.coefficient >= 0 for path in problem.paths):
        return None
    signs = torch.ones(problem.weight_numel, dtype=getattr(torch, problem.dtype), device=device)
    for path, place in zip(problem.paths, problem.weight_slices, strict=True):
        if path.coefficient < 0:
            signs[place] = -1
    return signs
