"""gtp-llvm: the kernel of a problem, for torch and for JAX."""

from __future__ import annotations

from functools import partial

from tpregistry.backend import Kernel
from tpregistry.native import Writer
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Problem
from tpregistry_gaunt.forms import Form
from tpregistry_gaunt.llvm.emitter import write
from tpregistry_gaunt.llvm.fields import Fields
from tpregistry_gaunt.tables import Tables


def build(problem: Problem, form: Form, framework: str) -> Kernel:
    """A kernel with derivatives of its own; it is compiled when it is called, or in JAX when it is lowered."""
    plan, writer = plan_tensor_product(problem), Writer("gtp-llvm", partial(write, Fields(Tables(problem, form))))
    if framework == "torch":
        import torch

        from tpregistry.native.kernel import Forward

        return Forward(plan, getattr(torch, problem.dtype), writer)
    from tpregistry.native.xla import XlaPlan

    return XlaPlan(plan, problem.dtype, writer)
