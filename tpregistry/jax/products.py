"""Products that have an operation of their own (`tpregistry.products`), as functions of JAX arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tpregistry import products
from tpregistry.hosts import host_for
from tpregistry.jax import binding
from tpregistry.problem import Problem
from tpregistry.products import Written

Array = jax.Array


def product(problem: Problem, x: Any, y: Any) -> Array:
    """A product without weights by the fastest valid backend: x (..., in1.dim), y (..., in2.dim) -> (..., out.dim).

    ``problem`` comes from a function of `tpregistry.products`; leading dimensions are broadcast. Raises TypeError for a problem
    with weights, and for sizes that are not those of the irreps.
    """
    x, y = (jnp.asarray(getattr(operand, "array", operand)) for operand in (x, y))
    sizes = problem.irreps_in1.dim, problem.irreps_in2.dim
    if problem.weight_numel or (x.shape[-1], y.shape[-1]) != sizes:
        raise TypeError(f"x and y end in {x.shape[-1]} and {y.shape[-1]} components; {problem} takes {sizes[0]} and {sizes[1]}")
    lead = jnp.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    x, y = (jnp.broadcast_to(operand, (*lead, operand.shape[-1])) for operand in (x, y))
    asked, w = problem.at(dtype=str(x.dtype)), jnp.zeros((0,), x.dtype)
    host = host_for(asked, "jax", binding.device())
    out = binding.product(asked, host, x, y, w)
    if out is not None:
        return out
    rows = (operand.reshape(prod(lead), operand.shape[-1]) for operand in (x, y))
    return host.kernel(*rows, w).reshape(*lead, problem.irreps_out.dim)


def irreps_array(irreps: str, array: Array) -> Any:
    """e3nn-jax's array of irreps, whose constructor is not typed."""
    import e3nn_jax

    make: Any = e3nn_jax.IrrepsArray
    return make(irreps, array)


def added(parts: Sequence[Any], scales: Sequence[float]) -> Any:
    """The sum of arrays of irreps, each irrep times a scale."""
    total: Any = sum(parts[1:], parts[0])
    every = np.repeat(scales, [item.dim for item in total.irreps]).astype(total.dtype)
    return irreps_array(str(total.irreps), total.array * every)


def gaunt(x: Any, y: Any, in1: Written, in2: Written, out: Written, normalization: str = "component") -> Array:
    """The pointwise product of functions on the sphere, see `tpregistry.products.gaunt`; shapes as for `product`."""
    return product(products.gaunt(in1, in2, out, normalization), x, y)


def curl(x: Any, y: Any, in1: Written, in2: Written, out: Written, normalization: str = "component") -> Array:
    """The surface curl of functions on the sphere, see `tpregistry.products.curl`; shapes as for `product`."""
    return product(products.curl(in1, in2, out, normalization), x, y)


def vector_signal(x: Any, y: Any, in1: Written, in2: Written, out: Written, normalization: str = "component") -> Array:
    """The vector product of fields on the sphere, see `tpregistry.products.vector_signal`; shapes as for `product`."""
    return product(products.vector_signal(in1, in2, out, normalization), x, y)


def matrix_product(x: Any, y: Any, in1: Written, in2: Written, out: Written, normalization: str = "component") -> Array:
    """The product of irreps as matrices, see `tpregistry.products.matrix_product`; shapes as for `product`."""
    return product(products.matrix_product(in1, in2, out, normalization), x, y)
