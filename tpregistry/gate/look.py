"""A second look: a kernel that passed in another process, on one small case in this one, before its first use.

The record says that such code is right; this code may be another, or meet another library or memory. The case is evaluated by the
problem's plan in NumPy, so that no framework compiles anything for it.
"""

from __future__ import annotations

import hashlib

from tpregistry.backend import Kernel
from tpregistry.frame import Array, Frame, Host, Operands
from tpregistry.gate.blocks import Blocks, largest_error, scales
from tpregistry.gate.cases import draw
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.problem import Problem
from tpregistry.store.evidence import QUANTITIES
from tpregistry.store.record import Entry

SAMPLES, SEED = 3, 11
SLACK = 8.0
"""Blocks of three samples have no fair scale; what is wrong is wrong by more."""


def digest(kernel: Kernel) -> str:
    """Of what was generated for the function itself, which its gradients follow from; empty where nothing was."""
    write = getattr(kernel, "sources", None)
    if write is None:
        return ""
    return hashlib.sha256("\n".join(write(0).values()).encode()).hexdigest()[:24]


def fault(kernel: Kernel, entry: Entry, problem: Problem, host: Host, frame: Frame, device: str) -> str:
    """What is wrong with the output or a gradient, by the tolerances of the gate; empty where nothing is."""
    operands, order = draw(problem, SAMPLES, SEED), min(1, problem.derivatives)
    found = frame.observe(kernel, operands, problem.dtype, device, order)
    if found.faults:
        return found.faults[0]
    expected = _expected(problem, operands, host, frame, device, order)
    blocks = Blocks(problem)
    units = scales(blocks, expected)
    for name, value in expected.items():
        error, allowed = (
            largest_error(blocks, name, found.values[name], value, units[name]),
            SLACK * entry.evidence[f"main {name}"][1],
        )
        if not error <= allowed:
            return f"{name}: error {error:.1e} > {allowed:.1e}"
    return ""


def _expected(problem: Problem, operands: Operands, host: Host, frame: Frame, device: str, order: int) -> dict[str, Array]:
    """Powers of a signal have no plan: they are what the host says."""
    if problem.correlation:
        return frame.observe(host.reference(), operands, "float64", device, order).values
    plan, inputs = plan_tensor_product(problem), [operands.values[name] for name in ("x", "y", "w")]
    values = dict(zip(QUANTITIES[0], emit_numpy(plan)(*inputs, graph=operands.graph), strict=True))
    if order:
        gradients = emit_numpy(plan.vjp())(*inputs, operands.values["g"], graph=operands.graph)
        values |= dict(zip(QUANTITIES[1], gradients, strict=True))
    return values
