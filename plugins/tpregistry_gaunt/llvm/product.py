"""gtp-llvm: the kernel of a problem, for torch and for JAX."""

from __future__ import annotations

from functools import partial

import numpy as np

from tpregistry.backend import Kernel
from tpregistry.native import Writer
from tpregistry.plan import Operand, Plan, Segment, Term, plan_tensor_product
from tpregistry.problem import Problem
from tpregistry_gaunt.forms import Form
from tpregistry_gaunt.llvm.emitter import write
from tpregistry_gaunt.llvm.fields import Fields, of_powers, of_product


def build(problem: Problem, form: Form, framework: str) -> Kernel:
    """A kernel with derivatives of its own; it is compiled when it is called, or in JAX when it is lowered."""
    plan, writer = plan_tensor_product(problem), _writer(of_product(problem, form))
    if framework == "torch":
        return _for_torch(plan, problem, writer)
    from tpregistry.jax.native import XlaPlan

    return XlaPlan(plan, problem.dtype, writer)


def build_powers(problem: Problem, form: Form) -> Kernel:
    """The same for powers of a signal, in torch."""
    return _for_torch(plan_powers(problem), problem, _writer(of_powers(problem, form)))


def _writer(fields: Fields) -> Writer:
    return Writer("gtp-llvm", partial(write, fields))


def _for_torch(plan: Plan, problem: Problem, writer: Writer) -> Kernel:
    import torch

    from tpregistry.torch.native import Forward

    return Forward(plan, getattr(torch, problem.dtype), writer)


def plan_powers(problem: Problem) -> Plan:
    """A term for each power. It has no coefficients, of which there would be too many: only `program` can read it."""
    inputs = Operand("x", problem.irreps_in1.dim), Operand("y", 0), Operand("w", 0, batched=False)
    signal, size = Segment("x", 0, "", "i", (problem.irreps_in1.dim,)), problem.irreps_out.dim // problem.correlation
    terms = (
        Term((signal,) * power, Segment("out", (power - 1) * size, "", "k", (size,)), "i" * power + "k", np.zeros(0))
        for power in range(1, problem.correlation + 1)
    )
    return Plan(inputs, (Operand("out", problem.irreps_out.dim),), tuple(terms))
