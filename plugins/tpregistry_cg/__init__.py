"""Clebsch-Gordan products written down from plans: backends of family ``cg``.

This module is the light face: kernels are imported when they are built.
"""

from __future__ import annotations

from tpregistry.backend import Face, Kernel, Verdict
from tpregistry.problem import Problem


def _face(name: str, summary: str) -> Face:
    return Face(name=name, family="cg", summary=summary, frameworks=("torch",), requires=("torch",))


class _Portable:
    """Every tensor product: all modes, dtypes and orders of derivatives, on any device of torch."""

    def supports(self, problem: Problem, device: str) -> Verdict:
        """Yes."""
        return Verdict(build_seconds=0.1)


class CgDense(_Portable):
    """Outer product of x and y, then one dense matrix of coefficients for all outputs of a pair of irreps."""

    face = _face("cg-dense", "outer product, then a dense coefficient matrix (portable torch)")

    def build(self, problem: Problem, device: str) -> Kernel:
        """A differentiable torch kernel."""
        from tpregistry_cg.dense import DenseKernel

        return DenseKernel(problem, device)


class CgHoist(_Portable):
    """Coefficients are contracted with y first, once for all copies of x; what is left is a batched matrix product."""

    face = _face("cg-hoist", "y hoisted into matrices, then a batched product with x (portable torch)")

    def build(self, problem: Problem, device: str) -> Kernel:
        """A differentiable torch kernel."""
        from tpregistry_cg.hoist import HoistKernel

        return HoistKernel(problem, device)
