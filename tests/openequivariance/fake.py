"""Stands in for OpenEquivariance 0.7, which imports on GPUs only: its calls as its sources have them, computed by e3nn.

Its weights of a path lie with the copies of y first (those of x in blocks of 32, which is left out here). Problems of the
kinds that it asserts against fail here as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import torch
from e3nn import o3


class TPProblem:
    def __init__(self, in1, in2, out, instructions, *, irrep_normalization, path_normalization, **options):
        assert len({mode for _, _, _, mode, _, _ in instructions}) == 1
        assert all(has_weight for _, _, _, _, has_weight, _ in instructions)
        assert options["irrep_dtype"] == options["weight_dtype"]
        assert not options["internal_weights"]
        self.arguments = (in1, in2, out, instructions)
        self.normalizations = {"irrep_normalization": irrep_normalization, "path_normalization": path_normalization}
        self.shared_weights, self.dtype = options["shared_weights"], options["irrep_dtype"]


class TensorProduct(torch.nn.Module):
    def __init__(self, problem: TPProblem) -> None:
        super().__init__()
        self.problem = problem
        options = {"shared_weights": problem.shared_weights, "internal_weights": False}
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        self.host = o3.TensorProduct(*problem.arguments, **problem.normalizations, **options)
        torch.set_default_dtype(before)
        self.host.to(torch.float64 if problem.dtype is np.float64 else torch.float32)
        self.inverse = torch.argsort(self.reorder_weights_from_e3nn(torch.arange(self.host.weight_numel), False))

    def reorder_weights_from_e3nn(self, weights: torch.Tensor, has_batch_dim: bool = True) -> torch.Tensor:
        shapes = [ins.path_shape for ins in self.host.instructions]
        pieces = torch.split(weights, [prod(shape) for shape in shapes], dim=-1)
        last = weights.ndim
        turned = (piece.unflatten(-1, shape).movedim(last, last - 1) for piece, shape in zip(pieces, shapes, strict=True))
        return torch.cat([piece.flatten(last - 1) for piece in turned], dim=-1)

    def forward(self, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        assert x.is_contiguous()
        assert y.is_contiguous()
        assert w.is_contiguous()
        return self.host(x, y, w.index_select(-1, self.inverse))


@dataclass
class Library:
    """Put into sys.modules under its name."""

    made: list[Any] = field(default_factory=list)

    def module(self, **changes: Any) -> ModuleType:
        found = ModuleType("openequivariance")
        vars(found).update(
            Irreps=str, TPProblem=TPProblem, TensorProduct=self._make, BUILT_EXTENSION=True, BUILT_EXTENSION_ERROR=None, **changes
        )
        return found

    def _make(self, problem: TPProblem) -> TensorProduct:
        self.made.append(problem)
        return TensorProduct(problem)
