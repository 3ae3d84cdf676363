"""The ways in which one plan can be written in Triton: what a tuner chooses among."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """How many warps, how much in one kernel, how outputs are stored, and who adds up the edges of a node.

    - ``warps``: the most of a program, 32 lanes each. With one, a thread has several channels and computes once what they share.
    - ``budget``: multiplications of a channel in one kernel, half as many in float64. More take registers that there are not,
      and compile for minutes; fewer mean more kernels, each of which reads again what it shares with others.
    - ``tiles``: components of an output are put together before they are stored, so that neighbouring threads write neighbouring
      numbers; else each is stored by itself, 2 l + 1 numbers apart.
    - ``atomic``: a convolution goes through its edges in their own order and adds to nodes by atomic operations, so its results
      are not repeatable; else through nodes, which own what is summed there.
    """

    warps: int = 4
    budget: int = 500
    tiles: bool = True
    atomic: bool = False
