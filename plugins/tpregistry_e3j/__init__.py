"""InstaDeep's e3j as a backend for JAX: its CUDA kernels for products with one channel, its plain code elsewhere.

This module is the light face: the library is imported when a kernel is built. Its CUDA kernels were not run yet; its plain
JAX code was, on a CPU.
"""

from __future__ import annotations

from tpregistry.backend import Face, Kernel, Reason, Verdict
from tpregistry.problem import Mode, Problem

TESTED = ("0.1.1",)
"""Versions of e3j that the tests ran with."""


class E3j:
    """`uvu` products and convolutions whose x has as many copies of each irrep, and y one; on a GPU a power of two."""

    face = Face(
        name="e3j",
        family="e3j",
        summary="InstaDeep's sparse products; CUDA kernels with e3j-ops on a GPU, plain jnp elsewhere",
        frameworks=("jax",),
        operations=("tensor_product", "tensor_product_conv"),
        requires=("jax", "e3j"),
        uses=("e3j-ops",),
    )

    def supports(self, problem: Problem, device: str, framework: str = "jax") -> Verdict:
        """Yes, or everything that its layout with one axis of channels cannot hold."""
        return Verdict(tuple(_reasons(problem, device)), build_seconds=round(3.0 + 0.05 * len(problem.paths), 2))

    def build(self, problem: Problem, device: str, framework: str = "jax") -> Kernel:
        """A traceable kernel; its engine says whether it is fused."""
        from tpregistry_e3j.convolution import build
        from tpregistry_e3j.kernel import E3jKernel

        return build(problem, device) if problem.convolves else E3jKernel(problem, device)


def _reasons(problem: Problem, device: str) -> list[Reason]:
    modes = sorted({path.mode.value for path in problem.paths} - {Mode.UVU})
    several = sorted({str(problem.irreps_in2[path.i_in2]) for path in problem.paths if problem.irreps_in2[path.i_in2].mul != 1})
    copies = sorted({problem.irreps_in1[path.i_in1].mul for path in problem.paths})
    weighted = {path.has_weight for path in problem.paths}
    found = []
    if problem.dtype not in ("float32", "float64"):
        found.append(Reason("TP121", f"e3j computes in float32 and float64, not in {problem.dtype}"))
    if modes:
        found.append(Reason("TP123", f"e3j does mode uvu, not {', '.join(modes)}"))
    if len(weighted) > 1:
        found.append(Reason("TP124", "e3j wants weights for all paths or for none"))
    if several:
        found.append(Reason("TP125", f"e3j wants one copy of each piece of y, not {', '.join(several)}"))
    if len(copies) != 1 or not copies[0]:
        found.append(Reason("TP125", f"e3j wants one number of copies in all pieces of x, not {copies or 'no path'}"))
    elif device != "cpu" and copies[0] & (copies[0] - 1):
        found.append(Reason("TP125", f"e3j's CUDA kernels want a power of two as the number of copies, not {copies[0]}"))
    return found
