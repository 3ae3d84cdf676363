"""cg-triton for torch: the kernel of a problem."""

from __future__ import annotations

from functools import partial

import torch

from tpregistry.arrays import arrays_of
from tpregistry.backend import Kernel
from tpregistry.plan import plan_tensor_product
from tpregistry.plan.channelwise import channelwise
from tpregistry.problem import Problem
from tpregistry.torch.convolution import Unfused
from tpregistry.torch.differentiable import differentiable
from tpregistry.torch.graph import Graph
from tpregistry_cg.mixed import Mixed, scaling
from tpregistry_cg.plain import Plain
from tpregistry_cg.triton.form import Form
from tpregistry_cg.triton.kernel import Tensor, TritonPlan


def build(problem: Problem, device: str, form: Form) -> Kernel:
    """The kernel of a problem, written in a form; a convolution whose channels are mixed is not fused."""
    split = channelwise(problem)
    if problem.convolves and not split.whole:
        return Unfused(build(problem.product, device, form))
    forward = Forward(plan_tensor_product(split.inner), getattr(torch, problem.dtype), form)
    if split.whole:
        return forward
    inner = differentiable(forward, Plain(split.inner, device))
    arrays = arrays_of("torch", problem.dtype, device)
    scalings = [partial(scaling, arrays, part) for part in split.scalings]
    return Mixed(split, problem.irreps_out.dim, arrays, forward, inner, scalings)


class Forward(TritonPlan):
    """A plan with one output, returned bare: see `tpregistry.backend.OpaqueKernel`."""

    def __call__(self, *operands: Tensor, graph: Graph | None = None) -> Tensor:  # type: ignore[override]
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out)."""
        return super().__call__(*operands, graph=graph)[0]
