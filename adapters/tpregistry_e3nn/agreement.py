"""Whether generated code computes what was read off its module: other code may stand in its place, or have been edited."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tpregistry.plan import plan_tensor_product
from tpregistry.plan.numpy_emitter import emit_numpy
from tpregistry.problem import Problem
from tpregistry.torch.ground import Unreadable

CLOSE = {"float64": 1e-9, "float32": 1e-4}
"""How far one sample may be from the problem's definition, as a fraction of its largest number; coarser dtypes: 5e-2."""
TF32 = 5e-3
"""The same for float32 on GPUs, where a program may have asked for less."""


def check(code: Any, problem: Problem, device: torch.device) -> None:
    """Run ``code`` on one sample. Raises Unreadable where it gives other numbers than the problem's definition, or raises."""
    operands = _operands(problem, device)
    try:
        with torch.no_grad():
            found = code(*operands).to(torch.float64).cpu().numpy()
    except Exception as error:
        raise Unreadable(f"its code raises {type(error).__name__} on one sample of {problem.dtype}") from error
    (expected,) = emit_numpy(plan_tensor_product(problem))(*(o.to(torch.float64).cpu().numpy() for o in operands))
    close = CLOSE.get(problem.dtype, 5e-2)
    allowed = TF32 if problem.dtype == "float32" and device.type != "cpu" else close
    if found.shape != expected.shape or not abs(found - expected).max(initial=0) <= allowed * abs(expected).max(initial=0):
        raise Unreadable("its code does not compute what its instructions say")


def _operands(problem: Problem, device: torch.device) -> list[torch.Tensor]:
    """x, y and w of one sample; no generator of the program is drawn from."""
    generator, weights = np.random.default_rng(0), (problem.weight_numel,)
    shapes = (1, problem.irreps_in1.dim), (1, problem.irreps_in2.dim), weights if problem.shared_weights else (1, *weights)
    drawn = (generator.random(shape, dtype=np.float32) - np.float32(0.5) for shape in shapes)
    return [torch.from_numpy(values).to(device=device, dtype=getattr(torch, problem.dtype)) for values in drawn]
