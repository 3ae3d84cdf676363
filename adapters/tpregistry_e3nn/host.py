"""e3nn's own code as a kernel: of a live module, of its float64 twin, or of a module made for a problem."""

from __future__ import annotations

import copy
from typing import Any

import torch

from tpregistry.backend import Kernel
from tpregistry.frame import Host
from tpregistry.problem import Problem
from tpregistry.torch.convolution import Unfused
from tpregistry.torch.ground import Generated
from tpregistry_e3nn import NAME
from tpregistry_e3nn.describe import MAIN, describe


class ModuleKernel:
    """The generated code of a TensorProduct (its `MAIN`), called with explicit weights; untouched by any patch."""

    def __init__(self, main: Any) -> None:
        self._main = main
        self.engine = "TorchScript" if isinstance(self._main, torch.jit.ScriptModule) else "torch.fx"

    def __call__(self, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """See `tpregistry.backend.Kernel`."""
        return self._main(x, y, w)


def host_of(module: Any, convolves: bool = False) -> Host:
    """The live module as the host; the reference is the float64 copy of its code, rounded coefficients and all.

    Its weights are not copied: in a replica of DataParallel they are no leaves, which torch refuses to copy.
    """
    main = getattr(module, MAIN)
    form = Unfused if convolves else lambda kernel: kernel
    return Host(NAME, form(ModuleKernel(main)), lambda: form(ModuleKernel(copy.deepcopy(main).double())))


def kernel_for(problem: Problem, device: str) -> Kernel:
    """e3nn's code for a problem that comes without a module; around it torch's gather and sum where it is a convolution."""
    kernel = ModuleKernel(getattr(_module_for(problem.product, device), MAIN))
    return Unfused(kernel) if problem.convolves else kernel


def _module_for(problem: Problem, device: str) -> Any:
    """A TensorProduct that computes a problem, on any e3nn line.

    e3nn takes the square root of path weights, so they are given squared; signs and roundings go into its 3j buffers.
    """
    from e3nn import o3

    instructions = [(p.i_in1, p.i_in2, p.i_out, p.mode.value, p.has_weight, p.coefficient**2) for p in problem.paths]
    irreps = (str(rep) for rep in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        module = o3.TensorProduct(
            *irreps,
            instructions,
            irrep_normalization="none",
            path_normalization="none",
            shared_weights=problem.shared_weights,
            internal_weights=False,
        )
    finally:
        torch.set_default_dtype(before)
    _write_buffers(module, problem)
    return module.to(dtype=getattr(torch, problem.dtype), device=device)


def _write_buffers(module: Any, problem: Problem) -> None:
    """Give the module's 3j buffers the signs and roundings of the problem, whatever the installed e3nn's own are."""
    from tpregistry.so3 import rounded_wigner_3j

    buffers = {name.rpartition(".")[2]: value for name, value in getattr(module, MAIN).named_buffers()}
    for path in problem.paths:
        degrees = problem.degrees(path)
        buffer = buffers.get("_w3j_{}_{}_{}".format(*degrees))
        if buffer is not None:
            sign = -1 if path.coefficient < 0 else 1
            buffer.copy_(torch.from_numpy(sign * rounded_wigner_3j(*degrees, path.rounding)))


def problem_of(module: Any) -> Problem:
    """The problem of a module at the dtype of its own buffers. Raises Unreadable as `describe` does, and for code that is hooked
    or not e3nn's."""
    Generated(module, MAIN)
    return describe(module, module.output_mask.dtype)
