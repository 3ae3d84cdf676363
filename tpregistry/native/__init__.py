"""Compiled CPU kernels: what a backend writes is LLVM text for a plan, everything else is here.

A backend gives a `Writer`. Made from it, `tpregistry.torch.native.CompiledPlan` is a kernel for torch and
`tpregistry.jax.native.XlaPlan` one for JAX, both differentiable to any order, for a plan's derivatives are plans. Machine code
is kept on disk, runs in parts of a batch on the framework's own threads, and never holds the interpreter's lock. Needs llvmlite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tpregistry.plan import Plan


@dataclass(frozen=True)
class Machine:
    """What code is written for: numbers (``float``, ``double``), how many fill a vector, and indices of graphs."""

    real: str
    lanes: int
    index: str = "i64"


@dataclass(frozen=True)
class Written:
    """A module's LLVM text, see `entry.module`; how many numbers of scratch memory a call wants; a sample's time, roughly.

    ``outline`` is for people to read.
    """

    source: str
    scratch: int
    nanoseconds: float
    outline: str = ""


@dataclass(frozen=True)
class Writer:
    """How a backend, under whose name its code is kept, writes a plan down.

    ``write`` is called for the plan of the product itself, for those of its derivatives, and for parts of them.
    """

    backend: str
    write: Callable[[Plan, Machine], Written]


__all__ = ["Machine", "Writer", "Written"]
