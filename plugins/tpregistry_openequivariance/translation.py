"""A problem as OpenEquivariance's: coefficients as path weights without normalisation, weights in its order, with our signs."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tpregistry.problem import Problem

ENGINES = {"tensor_product": "loop unrolled, batched", "tensor_product_conv": "loop unrolled, atomics"}


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


def weight_order(product: Any, problem: Problem) -> NDArray[np.int64] | None:
    """Where each of its weights lies among the problem's; None where it is the same order (`uvu` with one copy of y)."""
    ours = np.arange(problem.weight_numel)
    order = product.reorder_weights_from_e3nn(ours if problem.shared_weights else ours[None], not problem.shared_weights)
    return None if np.array_equal(order.reshape(-1), ours) else order.reshape(-1)


def weight_signs(problem: Problem) -> NDArray[Any] | None:
    """-1 for the weights of paths with negative coefficients, which its path weights cannot express; None without any."""
    if all(path.coefficient >= 0 for path in problem.paths):
        return None
    signs = np.ones(problem.weight_numel, dtype=problem.dtype)
    for path, place in zip(problem.paths, problem.weight_slices, strict=True):
        if path.coefficient < 0:
            signs[place] = -1
    return signs
