"""The ways in which one plan can be written in Triton: what a tuner chooses among."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """How many warps, how much in one kernel, how outputs are stored, who adds up the edges of a node, and when they are read.

    - ``warps``: the most of a program, 32 lanes each. With one, a thread has several channels and computes once what they share.
    - ``budget``: multiplications of a channel in one kernel, half as many in float64. More take registers that there are not,
      and compile for minutes; fewer mean more kernels, each of which reads again what it shares with others.
    - ``tiles``: components of an output are put together before they are stored, so that neighbouring threads write neighbouring
      numbers, and sums over lanes are made together; else each is stored by itself, 2 l + 1 numbers apart, and summed by itself.
    - ``atomic``: a convolution goes through its edges in their own order and adds to nodes by atomic operations, so its results
      are not repeatable; else through nodes, which own what is summed there.
    - ``stages``: in a loop over the edges of a node, or over samples, operands of so many turns are on their way at once (copied
      to shared memory in the background, which takes instructions of its own); with one, they are read when they are needed.
    """

    warps: int = 4
    budget: int = 500
    tiles: bool = True
    atomic: bool = False
    stages: int = 1
