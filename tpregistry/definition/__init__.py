"""The host of operations that no library has: what they are, path by path. Other backends are checked against it.

This module is its light face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tpregistry.backend import Face, Kernel, Verdict
from tpregistry.problem import OWN_OPERATIONS, Problem

if TYPE_CHECKING:
    from tpregistry.frame import Host  # imports numpy, which `tpregistry list` does without

NAME = "definition"


class Definition:
    """Every such operation, in every dtype, on any device."""

    face = Face(
        name=NAME,
        family=NAME,
        summary="what products of signals are, path by path (portable)",
        frameworks=("torch", "jax"),
        operations=OWN_OPERATIONS,
        host=True,
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """Yes."""
        return Verdict()

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel made of the framework's differentiable functions."""
        from tpregistry.definition.kernel import build

        return build(problem, device, framework)


def definition(problem: Problem, device: str, framework: str) -> Host:
    """The host of such a problem; in float64 it is its own reference."""
    from tpregistry.frame import Host

    build = Definition().build
    return Host(NAME, build(problem, device, framework), lambda: build(problem.at(dtype="float64"), device, framework))
