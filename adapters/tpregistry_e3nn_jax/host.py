"""e3nn-jax's own code as kernels: the call that a program makes, or its general product for a problem without a call."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import e3nn_jax as e3nn
import jax
from e3nn_jax.legacy import FunctionalTensorProduct

from tpregistry.frame import Host
from tpregistry.jax.convolution import Unfused
from tpregistry.problem import Problem
from tpregistry_e3nn_jax import NAME
from tpregistry_e3nn_jax.coefficients import scale

Array = jax.Array


class HostKernel:
    """A function of batches x, y, w that calls the host; it computes at the dtype of its operands."""

    engine = "XLA"

    def __init__(self, function: Callable[[Array, Array, Array], Array]) -> None:
        self._function = function

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """See `tpregistry.backend.Kernel`."""
        return self._function(x, y, w)


def irreps_array(irreps: Any, array: Array, zero_flags: Any = None) -> Any:
    """e3nn-jax's array of irreps, whose constructor is not typed."""
    make: Any = e3nn.IrrepsArray
    return make(irreps, array, zero_flags=zero_flags)


def as_host(function: Callable[[Array, Array, Array], Array]) -> Host:
    """A function as the host: in float64 it is its own reference."""
    kernel = HostKernel(function)
    return Host(NAME, kernel, lambda: kernel)


@lru_cache(maxsize=256)
def host_of(problem: Problem) -> Host:
    """e3nn-jax's code for a problem that comes without a call; around it JAX's gather and sum where it is a convolution."""
    if problem.convolves:
        kernel = Unfused(host_of(problem.product).kernel)
        return Host(NAME, kernel, lambda: kernel)
    irreps = tuple(e3nn.Irreps(str(rep)) for rep in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out))
    instructions: Any = [(p.i_in1, p.i_in2, p.i_out, p.mode.value, p.has_weight) for p in problem.paths]
    product = FunctionalTensorProduct(irreps[0], irreps[1], irreps[2], instructions)
    product.instructions = [
        made.replace(path_weight=path.coefficient * scale(*problem.degrees(path)))
        for made, path, shape in zip(product.instructions, problem.paths, problem.path_shapes, strict=True)
        if 0 not in shape  # those are skipped by e3nn-jax 0.21, and the results of all that follow are taken for others'
    ]

    def single(x: Array, y: Array, w: Array) -> Array:
        return stock("_left_right")(product, w, irreps_array(irreps[0], x), irreps_array(irreps[1], y)).array

    return as_host(jax.vmap(single, in_axes=(0, 0, None if problem.shared_weights else 0)))


def stock(name: str) -> Any:
    """A function of e3nn-jax as it was before it was patched."""
    from tpregistry_e3nn_jax.adapter import STOCK, original

    return STOCK.get(name) or original(name)
