"""Stands in for `openequivariance.jax` 0.7: its calls as its sources have them, by e3nn-jax, differentiable in reverse only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.openequivariance.fake import TPProblem, reordered
from tpregistry.irreps import Irreps
from tpregistry.problem import Mode, Path, Problem
from tpregistry_e3nn_jax.host import host_of


class TensorProduct:
    def __init__(self, problem: TPProblem) -> None:
        assert problem.normalizations == {"irrep_normalization": "none", "path_normalization": "none"}
        *irreps, instructions = problem.arguments
        paths = tuple(Path(i, j, k, Mode(mode), weighted, root**0.5) for i, j, k, mode, weighted, root in instructions)
        self.problem = Problem(*map(Irreps.parse, irreps), paths, bool(problem.shared_weights), np.dtype(problem.dtype).name)
        self._host: Any = host_of(self.problem).kernel
        self._order = np.argsort(self.reorder_weights_from_e3nn(np.arange(self.problem.weight_numel), False))
        self._kept = jnp.zeros(1)  # as the library keeps a workspace: made while tracing, it would be a tracer
        assert not isinstance(self._kept, jax.core.Tracer)

    def reorder_weights_from_e3nn(self, weights: np.ndarray, has_batch_dim: bool = True) -> np.ndarray:
        return reordered(list(self.problem.path_shapes), weights)

    def __call__(self, X: jax.Array, Y: jax.Array, W: jax.Array) -> jax.Array:
        return in_reverse(lambda x, y, w: self._host(x, y, w[..., self._order]))(X, Y, W)


class TensorProductConv(TensorProduct):
    def __init__(self, config: TPProblem, deterministic=False, kahan=False, requires_jvp=True) -> None:
        super().__init__(config)
        assert not deterministic, "right on symmetric graphs only"

    def __call__(self, X, Y, W, rows, cols, sender_perm=None) -> jax.Array:
        """rows receive and cols send, of one list of nodes; memory beyond it is not looked after."""
        assert rows.dtype == cols.dtype == jnp.int32
        return in_reverse(partial(self._sum, rows, cols))(X, Y, W)

    def _sum(self, rows: jax.Array, cols: jax.Array, x: jax.Array, y: jax.Array, w: jax.Array) -> jax.Array:
        messages = self._host(x.at[cols].get(mode="clip"), y, w[..., self._order])
        return jnp.zeros((len(x), messages.shape[1]), x.dtype).at[rows].add(messages, mode="clip")


def in_reverse(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    wrapped = jax.custom_vjp(function)
    wrapped.defvjp(lambda *o: (function(*o), o), lambda o, g: jax.vjp(function, *o)[1](g))
    return wrapped


def library() -> ModuleType:
    """Put into sys.modules under its name; there is no torch in it."""
    found, inner = ModuleType("openequivariance"), ModuleType("openequivariance.jax")
    vars(inner).update(TensorProduct=TensorProduct, TensorProductConv=TensorProductConv)
    vars(found).update(Irreps=str, TPProblem=TPProblem, jax=inner)
    return found
