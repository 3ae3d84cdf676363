"""OpenEquivariance's product, and its convolution, in torch."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from tpregistry.problem import Problem
from tpregistry.torch.graph import Graph
from tpregistry_openequivariance.library import load
from tpregistry_openequivariance.translation import ENGINES, theirs, weight_order, weight_signs

Tensor = torch.Tensor


class OpenequivarianceKernel:
    """Its batched tensor product, or its convolution by atomics; both are differentiable up to third order."""

    def __init__(self, problem: Problem, device: str) -> None:
        library = load()
        self.engine = ENGINES[problem.operation]
        make = library.TensorProductConv if problem.convolves else library.TensorProduct
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._product: Any = make(theirs(problem, library)).to(device)
        order, signs = weight_order(self._product, problem), weight_signs(problem)
        self._order = None if order is None else torch.from_numpy(order).to(device)
        self._signs = None if signs is None else torch.from_numpy(signs).to(device)
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
