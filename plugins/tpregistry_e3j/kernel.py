"""A product as e3j's bilinear map: one block of the output for each path, then weights, then the sum of blocks.

Coefficients are given, not e3j's own, so normalisation, signs and roundings are the problem's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from itertools import accumulate
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np

from tpregistry.backend import Reason
from tpregistry.plan import Segment, Term, plan_tensor_product
from tpregistry.problem import Problem

Array = jax.Array
CURE = "reinstall e3j and, for GPUs, e3j-ops in a version that it names"


class E3jKernel:
    """Sparse gather, product and sum; ``engine`` is the library's name for how."""

    def __init__(self, problem: Problem, device: str) -> None:
        self._problem, self._method = problem, "FUSED_CUDA" if device.startswith("cuda") else "UNFUSED"
        self._core, self._utils = load("e3j.core"), load("e3j.utils")  # e3j's own settings are a process's: none is made
        self.engine = self._method.lower()
        self._terms = plan_tensor_product(problem).terms
        self._sizes = [term.target.shape[-1] for term in self._terms]
        self._starts = [0, *accumulate(self._sizes)]

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out)."""
        if not len(x):
            return jnp.zeros((0, self._problem.irreps_out.dim), x.dtype)
        blocks = self._product(x.dtype)(components_first(self._problem, x), y)
        sums: dict[int, Array] = {}
        for term, start, size in zip(self._terms, self._starts, self._sizes, strict=False):
            piece = _weighted(term, blocks[:, start : start + size], w)
            place = term.target.start
            sums[place] = sums[place] + piece if place in sums else piece
        return assembled(self._problem, sums, len(x), x.dtype)

    def _product(self, dtype: jnp.dtype) -> Callable[[Array, Array], Array]:
        """e3j's operation with our coefficients; made anew for each trace, for it holds arrays."""
        source, target = _spaces(self._problem, self._terms)
        values, indices = _coefficients(self._problem, self._terms, self._starts)
        with jax.ensure_compile_time_eval():
            shape = (self._starts[-1], *(space.dim for space in source))
            coef = self._utils.sparse.sparse_bcoo(jnp.asarray(values, dtype), jnp.asarray(indices), shape)
        config = self._utils.Config(tensor_product=self._utils.options.TensorProduct[self._method])
        return self._core.TensorProduct(source, target, coef, config=config, layout="TRAILING_CHANNELS")


def _spaces(problem: Problem, terms: tuple[Term, ...]) -> tuple[tuple, object]:
    """One channel of x, all of y, and a block for each path."""
    space = load("e3j.spaces").O3Space
    one = space([(1, rep.l, rep.p) for rep in problem.irreps_in1]), space([(rep.mul, rep.l, rep.p) for rep in problem.irreps_in2])
    return one, space([(1, (term.target.shape[-1] - 1) // 2, 1) for term in terms])


def _coefficients(problem: Problem, terms: tuple[Term, ...], starts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Non-zeros as values and rows of (block component, component of x, component of y)."""
    entries = [entries_of(problem, term, start) for term, start in zip(terms, starts, strict=False)]
    values, indices = zip(*entries, strict=True)
    return np.concatenate(values), np.concatenate(indices)


def entries_of(problem: Problem, term: Term, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Those of one term whose results begin at ``start``."""
    x_starts = dict(zip(problem.irreps_in1.offsets, [0, *accumulate(2 * rep.l + 1 for rep in problem.irreps_in1)], strict=False))
    x, y = term.factors[:2]
    i, j, k = np.nonzero(term.coefficients)
    indices = np.stack([k + start, i + x_starts[x.start], j + y.start], axis=1)
    return term.coefficients[i, j, k], indices.astype(np.int32)


def components_first(problem: Problem, x: Array) -> Array:
    """(batch, components of one channel, channels); pieces without a path may have other numbers of copies, and are zeros."""
    used = {path.i_in1: problem.irreps_in1[path.i_in1].mul for path in problem.paths}
    channels = next(iter(used.values()))
    pieces = []
    for number, (rep, place) in enumerate(zip(problem.irreps_in1, problem.irreps_in1.slices(), strict=True)):
        size = 2 * rep.l + 1
        piece = x[:, place].reshape(len(x), rep.mul, size) if number in used else jnp.zeros((len(x), channels, size), x.dtype)
        pieces.append(jnp.swapaxes(piece, 1, 2))
    return jnp.concatenate(pieces, axis=1)


def _weighted(term: Term, block: Array, w: Array) -> Array:
    """(batch, channels * components) of a block (batch, components, channels)."""
    if len(term.factors) > 2:
        place: Segment = term.factors[2]
        scale = w[..., place.start : place.stop]
        block = block * (scale[:, None] if w.ndim == 2 else scale)
    return jnp.swapaxes(block, 1, 2).reshape(len(block), -1)


def assembled(problem: Problem, sums: dict[int, Array], batch: int, dtype: jnp.dtype) -> Array:
    """out of its pieces by where they start; zeros where there is none."""
    places = [(place.start, place.stop - place.start) for place in problem.irreps_out.slices()]
    parts = [sums[start] if start in sums else jnp.zeros((batch, size), dtype) for start, size in places if size]
    return jnp.concatenate(parts, axis=1)


def load(name: str) -> ModuleType:
    """A module of the library. Raises RuntimeError with reason TP122 where it cannot be imported."""
    try:
        return import_module(name)
    except Exception as error:  # a missing symbol, a version that does not fit
        why = f"importing e3j raised {type(error).__name__}: {error}"
        raise RuntimeError(str(Reason("TP122", why, CURE))) from error
