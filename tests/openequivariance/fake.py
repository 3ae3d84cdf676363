"""Stands in for OpenEquivariance 0.7, which imports on GPUs only: its calls as its sources have them, computed by e3nn.

Its weights of a path lie with the copies of y first (those of x in blocks of 32, which is left out here). Problems of the
kinds that it asserts against fail here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import torch
from e3nn import o3


class TPProblem:
    def __init__(
        self,
        irreps_in1,
        irreps_in2,
        irreps_out,
        instructions,
        in1_var=None,
        in2_var=None,
        out_var=None,
        irrep_normalization="component",
        path_normalization="element",
        internal_weights=False,
        shared_weights=None,
        label=None,
        irrep_dtype=np.float32,
        weight_dtype=np.float32,
        layout="mul_ir",
    ):
        assert len({mode for _, _, _, mode, _, _ in instructions}) == 1
        assert all(has_weight for _, _, _, _, has_weight, _ in instructions)
        assert irrep_dtype == weight_dtype
        assert not internal_weights
        assert layout == "mul_ir"
        self.arguments = (irreps_in1, irreps_in2, irreps_out, instructions)
        self.normalizations = {"irrep_normalization": irrep_normalization, "path_normalization": path_normalization}
        self.shared_weights, self.dtype = shared_weights, irrep_dtype


def reordered(shapes: list[tuple[int, ...]], weights: np.ndarray) -> np.ndarray:
    """From e3nn's order: the first two axes of each path change places."""
    last, ends = weights.ndim, np.cumsum([prod(shape) for shape in shapes])
    pieces = zip(np.split(weights, ends[:-1], axis=-1), shapes, strict=True)
    turned = (np.swapaxes(piece.reshape(*weights.shape[:-1], *shape), last - 1, last) for piece, shape in pieces)
    return np.concatenate([piece.reshape(*weights.shape[:-1], -1) for piece in turned], axis=-1)


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
        self.inverse = torch.argsort(torch.from_numpy(self.reorder_weights_from_e3nn(np.arange(self.host.weight_numel), False)))

    def reorder_weights_from_e3nn(self, weights: np.ndarray, has_batch_dim: bool = True) -> np.ndarray:
        return reordered([ins.path_shape for ins in self.host.instructions], weights)

    def forward(self, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        assert x.is_contiguous()
        assert y.is_contiguous()
        assert w.is_contiguous()
        return self.host(x, y, w.index_select(-1, self.inverse))


class TensorProductConv(TensorProduct):
    def __init__(self, problem: TPProblem, *, deterministic=False, kahan=False, torch_op=True, use_opaque=False) -> None:
        super().__init__(problem)
        assert not deterministic, "right on symmetric graphs only"

    def forward(self, X, Y, W, rows, cols, sender_perm=None) -> torch.Tensor:
        """rows receive and cols send, of one list of nodes; an index beyond it is written to all the same."""
        assert rows.dtype == cols.dtype == torch.int64
        assert rows.shape == cols.shape == Y.shape[:1]
        assert max(int(rows.max()), int(cols.max())) < len(X)
        messages = super().forward(X[cols], Y, W)
        return messages.new_zeros(len(X), messages.shape[1]).index_add(0, rows, messages)


@dataclass
class Library:
    """Put into sys.modules under its name."""

    made: list[Any] = field(default_factory=list)

    def module(self, **changes: Any) -> ModuleType:
        found = ModuleType("openequivariance")
        vars(found).update(
            Irreps=str,
            TPProblem=TPProblem,
            TensorProduct=self._noting(TensorProduct),
            TensorProductConv=self._noting(TensorProductConv),
            BUILT_EXTENSION=True,
            BUILT_EXTENSION_ERROR=None,
            **changes,
        )
        return found

    def _noting(self, kind: type[TensorProduct]) -> Callable[[TPProblem], TensorProduct]:
        def make(problem: TPProblem) -> TensorProduct:
            self.made.append(problem)
            return kind(problem)

        return make
