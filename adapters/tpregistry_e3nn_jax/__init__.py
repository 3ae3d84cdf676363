"""e3nn-jax as a host: its own code as a backend, and the adapter that accelerates its tensor products.

This module is the light face; it imports neither jax nor e3nn_jax.
"""

from __future__ import annotations

from tpregistry.backend import Face, Kernel, Reason, Verdict
from tpregistry.problem import Problem

NAME = "e3nn_jax"


class E3nnJax:
    """e3nn-jax's own code, by its `FunctionalTensorProduct`."""

    face = Face(
        name=NAME,
        family=NAME,
        summary="the host's own code",
        frameworks=("jax",),
        requires=("e3nn-jax", "jax"),
        host=True,
    )

    def supports(self, problem: Problem, device: str, framework: str = "jax") -> Verdict:
        """Everything with exact coefficients: those of e3nn-jax are nothing else."""
        rounded = sorted({path.rounding for path in problem.paths if path.rounding != "exact"} - {problem.dtype})
        reason = Reason("TP130", f"e3nn_jax has exact coefficients, the problem's were rounded to {', '.join(rounded)}")
        return Verdict((reason,) if rounded else ())

    def build(self, problem: Problem, device: str, framework: str = "jax") -> Kernel:
        """A traceable function of batches."""
        from tpregistry_e3nn_jax.host import host_of

        return host_of(problem).kernel
