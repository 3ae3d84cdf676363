"""cg-llvm for JAX: the kernel of a problem."""

from __future__ import annotations

from functools import partial

from tpregistry.arrays import arrays_of
from tpregistry.backend import Kernel
from tpregistry.jax.convolution import Unfused
from tpregistry.jax.native import XlaPlan
from tpregistry.plan import plan_tensor_product
from tpregistry.plan.channelwise import channelwise
from tpregistry.problem import Problem
from tpregistry_cg.llvm.emitter import WRITER
from tpregistry_cg.mixed import Mixed, scaling


def build(problem: Problem) -> Kernel:
    """The kernel of a problem, for JAX; a convolution whose channels are mixed is not fused."""
    split = channelwise(problem)
    if problem.convolves and not split.whole:
        return Unfused(build(problem.product))
    forward = XlaPlan(plan_tensor_product(split.inner), problem.dtype, WRITER)
    if split.whole:
        return forward
    arrays = arrays_of("jax", problem.dtype, "cpu")
    scalings = [partial(scaling, arrays, part) for part in split.scalings]
    return Mixed(split, problem.irreps_out.dim, arrays, forward, forward, scalings)
