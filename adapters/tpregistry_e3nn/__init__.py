"""e3nn as a host: its own code as a backend, and the adapter that accelerates its TensorProduct.

This module is the light face; it imports neither torch nor e3nn.
"""

from __future__ import annotations

from tpregistry.backend import Face, Kernel, Reason, Verdict
from tpregistry.problem import Problem

NAME = "e3nn"


class E3nn:
    """e3nn's own generated code, on a module made for the problem."""

    face = Face(
        name=NAME,
        family=NAME,
        summary="the host's own code",
        frameworks=("torch",),
        requires=("e3nn", "torch"),
        licence="MIT",
        host=True,
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """Everything but negative coefficients of scalars, and paths of one triple that differ in sign: its weights are roots."""
        signs: dict[tuple[int, int, int], set[bool]] = {}
        for path in problem.paths:
            triple = problem.degrees(path)
            signs.setdefault(triple, set()).add(path.coefficient < 0)
        mixed = [triple for triple, found in signs.items() if len(found) > 1]
        scalar = [triple for triple, found in signs.items() if 0 in triple and True in found]
        said = (f"e3nn has one sign per triple; those of l = {mixed} are mixed",) if mixed else ()
        said += (f"e3nn has no negative coefficients of l = {scalar}: it keeps no 3j tensor there",) if scalar else ()
        return Verdict(tuple(Reason("TP130", message) for message in said))

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A TensorProduct module with the coefficients of the problem, called with explicit weights."""
        from tpregistry_e3nn.host import kernel_for

        return kernel_for(problem, device)
