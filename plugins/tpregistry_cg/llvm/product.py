"""cg-llvm for torch: the kernel of a problem."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tpregistry.arrays import Arrays, arrays_of
from tpregistry.backend import Kernel
from tpregistry.plan import plan_tensor_product
from tpregistry.plan.channelwise import channelwise
from tpregistry.plan.scaling import Scaling
from tpregistry.problem import Problem
from tpregistry.torch.convolution import Unfused
from tpregistry.torch.differentiable import differentiable
from tpregistry.torch.native import Forward, Tensor
from tpregistry_cg.llvm.emitter import WRITER
from tpregistry_cg.llvm.scaling import ScalingKernel
from tpregistry_cg.mixed import Mixed, scaling
from tpregistry_cg.plain import Plain


def build(problem: Problem) -> Kernel:
    """The kernel of a problem; a convolution whose channels are mixed is not fused."""
    split = channelwise(problem)
    if problem.convolves and not split.whole:
        return Unfused(build(problem.product))
    forward = Forward(plan_tensor_product(split.inner), getattr(torch, problem.dtype), WRITER)
    if split.whole:
        return forward
    inner = differentiable(forward, Plain(split.inner, "cpu"))
    arrays = arrays_of("torch", problem.dtype, "cpu")
    scalings = [_scaling(arrays, part) for part in split.scalings]
    return Mixed(split, problem.irreps_out.dim, arrays, forward, inner, scalings)


def _scaling(arrays: Arrays, part: Scaling) -> Callable[..., Tensor]:
    function = differentiable(ScalingKernel(part.plan(), part.copies), lambda *operands: (scaling(arrays, part, *operands),))
    return lambda vectors, scalars, weights: function(vectors, scalars, weights)[0]
