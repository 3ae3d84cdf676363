"""Products of signals on the sphere and of matrices: families ``gtp`` and ``mtp``.

This module is the light face: kernels are imported when they are built.
"""

from __future__ import annotations

from dataclasses import replace

from tpregistry.backend import Face, Kernel, Reason, Verdict
from tpregistry.problem import Problem

FRAMEWORKS = ("torch", "jax")

WORTHWHILE = 8
"""The degree from which Clebsch-Gordan products through points are worth a try: see docs, products of signals."""

MEASURED = 10
"""The degree to which rings were measured beside points."""

NEVER_WON = f"pair by pair of irreps, points never won below degree {WORTHWHILE}"

RINGS_LATER = "on a CPU a table for all points was faster than rings at every degree to 10"

SLOWER = "pair by pair of irreps, waves do what points do, at more of them"


def _verdict(name: str, problem: Problem) -> Verdict:
    """float32 and float64; coefficients must be those of the operation."""
    reasons = []
    if any(path.rounding != "exact" for path in problem.paths):
        reasons.append(Reason("TP125", f"{name} knows the exact 3j tensors only, those of the problem are rounded"))
    if problem.dtype not in ("float32", "float64"):
        reasons.append(Reason("TP121", f"{name} computes in float32 and float64, not in {problem.dtype}"))
    if problem.operation not in ("tensor_product", "gaunt_many_body"):
        reasons += _foreign(name, problem)
    return Verdict(tuple(reasons), 0.2)


def _highest(problem: Problem) -> int:
    """Degree of the factors."""
    return max((item.l for rep in (problem.irreps_in1, problem.irreps_in2) for item in rep), default=0)


def _foreign(name: str, problem: Problem) -> list[Reason]:
    from tpregistry.products import factors

    try:
        factors(problem)
    except ValueError as error:
        return [Reason("TP125", f"{name}: {error}", "make the problem with a function of tpregistry.products")]
    return []


class GtpGrid:
    """Fields multiplied at points of the sphere: of one degree each for Clebsch-Gordan products, whole ones for the others.

    Powers of a field all come from the same values.
    """

    face = Face(
        name="gtp-grid",
        family="gtp",
        summary="fields multiplied at points of the sphere (portable)",
        frameworks=FRAMEWORKS,
        operations=("gaunt", "gaunt_many_body", "curl", "vector_signal", "tensor_product"),
        uses=("scipy",),
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """float32 and float64, on any device; no rounded 3j tensors."""
        verdict = _verdict(self.face.name, problem)
        paths_apart = problem.operation == "tensor_product"
        small = paths_apart and max((max(problem.degrees(path)[:2]) for path in problem.paths), default=0) < WORTHWHILE
        return replace(verdict, on_request=NEVER_WON) if small else verdict

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel made of the framework's differentiable functions."""
        from tpregistry_gaunt import build

        return build.on_points(problem, device, framework)


class GtpSeparable:
    """Fields multiplied at points of rings, to which components go in two stages."""

    face = Face(
        name="gtp-separable",
        family="gtp",
        summary="fields multiplied on rings of the sphere, reached by polar angle and then azimuth (portable)",
        frameworks=FRAMEWORKS,
        operations=("gaunt", "gaunt_many_body", "curl", "vector_signal"),
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """float32 and float64, on any device."""
        verdict = _verdict(self.face.name, problem)
        return replace(verdict, on_request=RINGS_LATER) if device == "cpu" and _highest(problem) <= MEASURED else verdict

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel made of the framework's differentiable functions."""
        from tpregistry_gaunt import build, stages

        return build.on_rings(problem, stages.AsTable, device, framework)


class GtpSeparableFft(GtpSeparable):
    """The same with a fast Fourier transform along the rings."""

    face = replace(
        GtpSeparable.face,
        name="gtp-separable-fft",
        summary="fields multiplied on rings of the sphere, with fast Fourier transforms along them (portable)",
    )

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """See `GtpSeparable.build`."""
        from tpregistry_gaunt import build, stages

        return build.on_rings(problem, stages.AsTransform, device, framework)


class GtpLlvm:
    """Fields multiplied at points, compiled: a few rows at a time go to points, are multiplied, and come back."""

    face = Face(
        name="gtp-llvm",
        family="gtp",
        summary="fields multiplied at points of the sphere, compiled by LLVM in one pass (CPU)",
        frameworks=FRAMEWORKS,
        operations=("gaunt", "gaunt_many_body", "curl", "vector_signal"),
        requires=("llvmlite",),
        uses=("scipy",),
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """float32 and float64 on a CPU."""
        reasons = list(_verdict(self.face.name, problem).reasons)
        if device != "cpu":
            reasons.append(Reason("TP120", f"gtp-llvm runs on a CPU, not on {device}"))
        if problem.correlation and framework == "jax":
            reasons.append(Reason("TP125", "gtp-llvm raises signals to powers in torch only", "gtp-grid does so in JAX"))
        return Verdict(tuple(reasons), 0.2)

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel with derivatives of its own; it is compiled when it is called, or in JAX when it is lowered."""
        from tpregistry_gaunt import build

        return build.compiled(problem, framework)


class GtpFourier:
    """Fields multiplied as waves on a torus."""

    face = Face(
        name="gtp-fourier",
        family="gtp",
        summary="fields multiplied on a torus, by fast Fourier transforms (portable)",
        frameworks=FRAMEWORKS,
        operations=("gaunt", "curl", "tensor_product"),
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """float32 and float64, on any device; no rounded 3j tensors."""
        verdict = _verdict(self.face.name, problem)
        return replace(verdict, on_request=SLOWER) if problem.operation == "tensor_product" else verdict

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel made of the framework's differentiable functions."""
        from tpregistry_gaunt import build

        return build.as_waves(problem, device, framework)


class Mtp:
    """Products of matrices on one irrep."""

    face = Face(
        name="mtp",
        family="mtp",
        summary="irreps as matrices on one irrep, multiplied (portable)",
        frameworks=FRAMEWORKS,
        operations=("matrix_product",),
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """float32 and float64, on any device."""
        return _verdict(self.face.name, problem)

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel made of the framework's differentiable functions."""
        from tpregistry_gaunt import build

        return build.as_matrices(problem, device, framework)
