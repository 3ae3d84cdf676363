"""MACE as a host: its own code for symmetric contractions as a backend, and the adapter that compiles them.

This module is the light face; it imports neither torch nor MACE.
"""

from __future__ import annotations

from tpregistry.backend import Face, Kernel, Reason, Verdict
from tpregistry.problem import Problem

NAME = "mace"


class Mace:
    """MACE's own contractions, which run where they are: none is made for a problem."""

    face = Face(
        name=NAME,
        family=NAME,
        summary="the host's own code for symmetric contractions",
        frameworks=("torch",),
        operations=("symmetric_contraction",),
        requires=("mace-torch", "torch"),
        licence="MIT",
        host=True,
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """Not without the module that the problem was read from, whose code runs anyway."""
        return Verdict((Reason("TP130", "mace has no module for a problem that comes without one"),))

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """Nothing: see `supports`."""
        raise NotImplementedError("mace computes contractions in its modules alone")
