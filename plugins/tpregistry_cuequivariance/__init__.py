"""NVIDIA's cuEquivariance as a backend: polynomials written down from our plan, run by whichever of its methods applies.

This module is the light face: the library is imported when a kernel is built. What it runs on a GPU (`uniform_1d`,
`fused_tp`) was not run yet; its own torch code (`naive`) was, on a CPU.
"""

from __future__ import annotations

from tpregistry.backend import Face, Kernel, Reason, Verdict
from tpregistry.problem import Problem

TESTED = ("0.13",)
"""Versions of cuequivariance and cuequivariance-torch that the tests ran with."""

OPERATIONS = ("tensor_product", "tensor_product_conv")
"""A convolution is the same polynomial: its operands take indices."""


class Cuequivariance:
    """Every tensor product and its convolution in float32 and float64; fast on NVIDIA GPUs that have its library of operations."""

    face = Face(
        name="cuequivariance",
        family="cuequivariance",
        summary="NVIDIA's segmented polynomials; fast with cuequivariance-ops-torch on a GPU, plain torch elsewhere",
        frameworks=("torch",),
        operations=OPERATIONS,
        requires=("torch", "cuequivariance", "cuequivariance-torch"),
        uses=("cuequivariance-ops-torch-cu12", "cuequivariance-ops-torch-cu13"),
        licence="Apache-2.0 (ops: NVIDIA)",
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """float32 and float64; all modes."""
        reasons = []
        if problem.dtype not in ("float32", "float64"):
            reasons.append(Reason("TP121", f"cuequivariance computes in float32 and float64, not in {problem.dtype}"))
        return Verdict(tuple(reasons), _build_seconds(problem, framework))

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A differentiable torch kernel; its engine names the methods that run."""
        from tpregistry_cuequivariance.kernel import CuequivarianceKernel

        return CuequivarianceKernel(problem, device)


class CuequivarianceJax(Cuequivariance):
    """The same polynomials in JAX. Another frontend, so another backend; the family's name means whichever fits."""

    face = Face(
        name="cuequivariance-jax",
        family="cuequivariance",
        summary="NVIDIA's segmented polynomials; fast with cuequivariance-ops-jax on a GPU, plain jnp elsewhere",
        frameworks=("jax",),
        operations=OPERATIONS,
        requires=("jax", "cuequivariance", "cuequivariance-jax"),
        uses=("cuequivariance-ops-jax-cu12", "cuequivariance-ops-jax-cu13"),
        licence="Apache-2.0 (ops: NVIDIA)",
    )

    def build(self, problem: Problem, device: str, framework: str = "jax") -> Kernel:
        """A traceable kernel; its engine names the methods that run."""
        from tpregistry_cuequivariance.jax_kernel import CuequivarianceJaxKernel

        return CuequivarianceJaxKernel(problem, device)


def _build_seconds(problem: Problem, framework: str) -> float:
    """Importing the library, then its search for the order of each path's contractions (and XLA's compilation), on a CPU."""
    return round(2.0 + (0.016 if framework == "torch" else 0.1) * len(problem.paths), 2)
