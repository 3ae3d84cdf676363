"""OpenEquivariance as a backend: CUDA and HIP kernels generated for a problem, for paths all `uvu` or all `uvw`.

This module is the light face: the library is imported when a kernel is built. Not run on a GPU yet: what it is given was
tested against its sources (TESTED), what it computes is left to the gate.
"""

from __future__ import annotations

from tpregistry.backend import Face, Kernel, Verdict
from tpregistry.problem import Problem
from tpregistry_openequivariance.limits import reasons

TESTED = ("0.7",)
"""Versions of openequivariance whose sources this was written against."""

OPERATIONS = ("tensor_product", "tensor_product_conv")


class Openequivariance:
    """Products of one mode, `uvu` or `uvw`, all paths weighted, and their convolutions, on NVIDIA and AMD GPUs."""

    face = Face(
        name="openequivariance",
        family="openequivariance",
        summary="CUDA and HIP kernels generated for the problem; uvu or uvw, all paths weighted",
        frameworks=("torch",),
        operations=OPERATIONS,
        requires=("torch", "openequivariance"),
        licence="BSD-3-Clause",
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """Yes, or everything that its kernels cannot do exactly. The estimate is for its compiler on a GPU."""
        return Verdict(reasons(problem, device, framework), build_seconds=2.0 + 0.1 * len(problem.paths))

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A differentiable torch kernel."""
        from tpregistry_openequivariance.kernel import OpenequivarianceKernel

        return OpenequivarianceKernel(problem, device)


class OpenequivarianceJax(Openequivariance):
    """The same kernels in JAX. Another frontend, so another backend; the family's name means whichever fits."""

    face = Face(
        name="openequivariance-jax",
        family="openequivariance",
        summary="CUDA and HIP kernels generated for the problem; uvu or uvw, all paths weighted",
        frameworks=("jax",),
        operations=OPERATIONS,
        requires=("jax", "openequivariance", "openequivariance-extjax"),
        licence="BSD-3-Clause",
    )

    def build(self, problem: Problem, device: str, framework: str = "jax") -> Kernel:
        """A traceable kernel."""
        from tpregistry_openequivariance.jax_kernel import build

        return build(problem, device)
