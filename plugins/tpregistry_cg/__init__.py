"""Clebsch-Gordan products written down from plans: backends of family ``cg``.

This module is the light face: kernels are imported when they are built.
"""

from __future__ import annotations

from tpregistry.backend import Face, Kernel, Verdict
from tpregistry.problem import Problem


class CgDense:
    """Outer product of x and y, then one dense matrix of coefficients for all outputs of a pair of irreps."""

    face = Face(
        name="cg-dense",
        family="cg",
        summary="outer product, then a dense coefficient matrix (portable torch)",
        frameworks=("torch",),
        requires=("torch",),
    )

    def supports(self, problem: Problem, device: str) -> Verdict:
        """Every tensor product: all modes, dtypes and orders of derivatives."""
        return Verdict(build_seconds=0.1)

    def build(self, problem: Problem, device: str) -> Kernel:
        """A differentiable torch kernel."""
        from tpregistry_cg.dense import DenseKernel

        return DenseKernel(problem, device)


class CgHoist:
    """Coefficients are contracted with y first, once for all copies of x; what is left is a batched matrix product."""

    face = Face(
        name="cg-hoist",
        family="cg",
        summary="y hoisted into matrices, then a batched product with x (portable torch)",
        frameworks=("torch",),
        requires=("torch",),
    )

    def supports(self, problem: Problem, device: str) -> Verdict:
        """Every tensor product: all modes, dtypes and orders of derivatives."""
        return Verdict(build_seconds=0.1)

    def build(self, problem: Problem, device: str) -> Kernel:
        """A differentiable torch kernel."""
        from tpregistry_cg.hoist import HoistKernel

        return HoistKernel(problem, device)
