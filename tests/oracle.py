"""The NumPy emitter as the judge of other kernels."""

from typing import Any

import numpy as np
import torch

from tpregistry.plan import emit_numpy

TOLERANCE = {"float64": 1e-12, "float32": 2e-5}


def agree_to_third_order(kernel: Any, dtype: str, samples: int = 3) -> None:
    """A kernel of a plan, and its vjp, and so on, with random operands."""
    generator = np.random.default_rng(0)
    for _ in range(4):
        arrays = [generator.standard_normal((samples, o.size) if o.batched else o.size) for o in kernel.plan.inputs]
        tensors = [torch.from_numpy(array).to(getattr(torch, dtype)) for array in arrays]
        for found, expected in zip(kernel(*tensors), emit_numpy(kernel.plan)(*arrays), strict=True):
            scale = max(1.0, np.abs(expected).max(initial=0))
            np.testing.assert_allclose(found.double().numpy(), expected, atol=TOLERANCE[dtype] * scale, rtol=0)
        kernel = kernel.vjp()
