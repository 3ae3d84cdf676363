"""Gaunt products of a signal with itself, of any order, as functions of JAX arrays; what layers around them share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from tpregistry import many_body
from tpregistry.jax.products import product
from tpregistry.problem import Problem
from tpregistry.signal_layers import Written, read

Array = jax.Array


def gaunt_many_body(x: Any, correlation: int, irreps_in: Written, irreps_out: Written) -> list[Array]:
    """``integral of F_x^n Y`` for n = 1..correlation: signals x (..., irreps_in.dim) -> a list of (..., irreps_out.dim).

    By the fastest valid backend: one grid without transforms between the factors, or a chain of `gaunt` products that truncates
    nothing. See `tpregistry.many_body.gaunt_many_body`, also for irreps that are refused.
    """
    return _powers(contraction(irreps_in, irreps_out, correlation), x)


def _powers(problem: Problem, x: Any) -> list[Array]:
    x = jnp.asarray(getattr(x, "array", x))
    return jnp.split(product(problem, x, jnp.zeros((*x.shape[:-1], 0), x.dtype)), problem.correlation, axis=-1)


def contraction(irreps_in: Written, irreps_out: Written, correlation: int) -> Problem:
    """The problem inside a `GauntSymmetricContraction`."""
    return many_body.gaunt_many_body(read(irreps_in), read(irreps_out), correlation)


def weights_shape(problem: Problem, num_elements: int) -> tuple[int, ...]:
    """One weight per element, order, degree and channel."""
    return num_elements, problem.correlation, len(many_body.wanted(problem)), problem.irreps_in1[0].mul


def contract(problem: Problem, weights: Array, x: Any, elements: Array) -> Array:
    """``out_l = sum over n of W[element, n, l, channel] (F_x^n)_l``: x (nodes, dim_in), elements (nodes,) -> (nodes, dim).

    Weights of variance 1 / correlation give outputs of about unit variance where inputs have it.
    """
    chosen = weights[elements] * jnp.asarray(many_body.unit_variance(problem), weights.dtype)[:, :, None]
    return sum(power * _spread(problem, chosen[:, n]) for n, power in enumerate(_powers(problem, x)))  # type: ignore[return-value]


def _spread(problem: Problem, weights: Array) -> Array:
    """A weight per degree and channel, (nodes, degrees, copies), on every component."""
    parts = [jnp.repeat(weights[:, n], 2 * item.l + 1, axis=-1) for n, item in enumerate(many_body.wanted(problem))]
    return jnp.concatenate(parts, axis=-1)
