"""The plugin protocol: what a tensor-product backend is made of.

A plugin is a class with a `face`, `supports` and `build`, named by an entry point of group ``tpregistry.backends``. Its
module is imported to list it, so it must import neither a framework nor a kernel library at module level: `build` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from tpregistry.problem import Problem

API = 1


@dataclass(frozen=True)
class Face:
    """What is known of a backend without importing its kernels.

    ``family`` is a name that stands for the best of its members. ``requires`` are the distributions without which it
    cannot run, ``uses`` those that make it faster where they are there; its records depend on the versions of both.
    ``host`` marks the accelerated library's own code.
    """

    name: str
    summary: str
    family: str
    frameworks: tuple[str, ...]
    operations: tuple[str, ...] = ("tensor_product",)
    requires: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    licence: str = "Apache-2.0"
    host: bool = False
    api: int = API


@dataclass(frozen=True)
class Reason:
    """Why a backend cannot do a problem: a stable code, a sentence, and what the user can do about it."""

    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.code} {self.message}" + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True)
class Verdict:
    """The answer of `supports`: yes, or all the reasons why not. ``build_seconds`` estimates what `build` will take.

    ``on_request`` says why a backend that can do the problem is not worth checking and measuring unless it is named.
    """

    reasons: tuple[Reason, ...] = ()
    build_seconds: float = 0.0
    on_request: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.reasons, tuple) or not all(isinstance(reason, Reason) for reason in self.reasons):
            raise TypeError(f"reasons of a Verdict are {self.reasons!r}, not a tuple of Reason")

    @property
    def ok(self) -> bool:
        """Whether there is no reason against."""
        return not self.reasons


class Kernel(Protocol):
    """What a backend builds for one problem: a function made of the framework's own differentiable functions.

    In JAX it is traced, so constants that it keeps belong to NumPy.

    Called with the operands ``x (batch, dim_in1)``, ``y (batch, dim_in2)`` and ``w (batch, weight_numel)``, or
    ``(weight_numel,)`` where weights are shared; returns ``out (batch, dim_out)`` in fresh memory. ``engine`` says what
    really runs. A kernel that is generated may have ``sources(derivatives)``: what was generated for each order, by name,
    for people to read.
    """

    engine: str
    __call__: Callable[..., Any]


class OpaqueKernel(Kernel, Protocol):
    """A kernel that the framework cannot differentiate, and that brings its derivatives itself."""

    def vjp(self) -> Kernel:
        """The kernel of all gradients.

        Called with the operands and then the cotangents of the outputs; returns a tuple of one gradient per operand. It
        has a `vjp` in turn, unless it is made of differentiable functions. Where it also has ``part(given, wanted)`` (a
        flag for each input, and for each output), that kernel is called with the inputs given, the others being zero, and
        returns the outputs wanted.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """A tensor-product backend. Both methods are called with problems of its frameworks and operations only."""

    face: Face

    def supports(self, problem: Problem, device: str, framework: str) -> Verdict:
        """Yes, or all the reasons why not, for one of the face's frameworks; must neither allocate nor import it."""
        ...

    def build(self, problem: Problem, device: str, framework: str) -> Kernel:
        """The kernel, for one of the face's frameworks; may import, generate and compile."""
        ...
