"""The loopback backend: plans through the NumPy emitter, slow and right, each derivative a plan of its own.

It exercises every path that a compiled backend takes: kernels that autograd cannot see into, joined by their `vjp`.
"""

from __future__ import annotations

from typing import Any

from tpregistry.backend import Face, Kernel, Reason, Verdict
from tpregistry.graph import Edges
from tpregistry.plan import Plan, emit_numpy, plan_tensor_product
from tpregistry.problem import Problem


class Loopback:
    """Right on every tensor product on a CPU, and never fast."""

    face = Face(
        name="loopback",
        family="loopback",
        summary="plans through NumPy, for tests",
        frameworks=("torch",),
        operations=("tensor_product", "tensor_product_conv"),
        requires=("torch",),
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """CPU tensors of dtypes that NumPy has."""
        reasons = []
        if not device.startswith("cpu"):
            reasons.append(Reason("TP120", f"loopback runs on a CPU, not on {device}"))
        if problem.dtype == "bfloat16":
            reasons.append(Reason("TP121", "NumPy has no bfloat16"))
        return Verdict(tuple(reasons))

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """The kernel of the problem's plan."""
        return PlanKernel(plan_tensor_product(problem))


class PlanKernel:
    """A plan as a kernel on CPU torch tensors; its `vjp` is the kernel of the plan's `vjp`."""

    engine = "numpy"

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._run = emit_numpy(plan)

    def __call__(self, *operands: Any, graph: Any = None) -> Any:
        """A tensor, or a tuple of them where the plan has several outputs."""
        import torch

        results = self._run(*(operand.detach().numpy() for operand in operands), graph=None if graph is None else _edges(graph))
        tensors = tuple(torch.from_numpy(result) for result in results)
        return tensors[0] if len(tensors) == 1 else tensors

    def vjp(self) -> PlanKernel:
        """The kernel of all gradients."""
        return PlanKernel(self.plan.vjp())


def _edges(graph: Any) -> Edges:
    """A graph of tensors as one of arrays."""
    return Edges(graph.senders.numpy(), graph.receivers.numpy(), graph.sending, graph.nodes)
