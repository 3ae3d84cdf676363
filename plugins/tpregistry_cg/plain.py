"""A product in torch's own functions, for what no compiled kernel can do: a backward that is mapped over many cotangents."""

from __future__ import annotations

from functools import cache

import torch

from tpregistry.problem import Problem
from tpregistry_cg.dense import DenseKernel

Tensor = torch.Tensor


class Plain:
    """`cg-dense`, built when it is called for the first time, which in most programs is never."""

    def __init__(self, problem: Problem, device: str) -> None:
        self._kernel = cache(lambda: DenseKernel(problem, device, "torch"))

    def __call__(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """See `tpregistry.backend.Kernel`."""
        return self._kernel()(x, y, w)
