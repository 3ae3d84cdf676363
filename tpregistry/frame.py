"""The narrow seam between a framework and the gate and tuner: numpy in, numpy out, and a thunk to time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from tpregistry.backend import Kernel
from tpregistry.graph import Edges
from tpregistry.layout import Layout

T = TypeVar("T")
Array = NDArray[Any]


@dataclass(frozen=True)
class Operands:
    """Inputs of one evaluation in float64: x, y, w; g is the cotangent of out; a, b, c those of dx, dy, dw.

    In a convolution those of x and out have a row per node, those of y and w one per edge of the ``graph``. Those that are
    ``constant`` ask for no gradients; ``first``, where it is given, are the only ones whose first gradients are taken.
    """

    values: dict[str, Array]
    layout: Layout = Layout.DENSE
    graph: Edges | None = None
    constant: tuple[str, ...] = ()
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """What a kernel gave (float64): out, and from order 1 dx, dy, dw, from order 2 ddx, ddy, ddw, ddg; and its faults."""

    values: dict[str, Array]
    faults: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Host:
    """The host's own code for one problem: at the problem's dtype, and the same function in float64."""

    name: str
    kernel: Kernel
    reference: Callable[[], Kernel]


class Frame(Protocol):
    """What gate and tuner need of a framework."""

    name: str
    scalings: bool
    """Whether products that only scale copies by scalars are measured as others are: where the host's code for them is slow."""
    batches: tuple[int, ...]
    """Numbers of samples on which kernels are checked, besides those of every problem."""

    def environment(self, device: str) -> dict[str, str]:
        """Device or CPU model, threads, driver, framework: what a measurement depends on besides the problem."""
        ...

    def may_measure(self) -> bool:
        """False in programs of several processes and while a device graph is captured."""
        ...

    def isolated(self, work: Callable[[], T]) -> T:
        """Do ``work`` so that it neither sees nor changes the caller's state (gradient mode, dtype, threads), nor outlives it."""
        ...

    def observe(self, kernel: Kernel, operands: Operands, dtype: str, device: str, order: int) -> Observed:
        """Evaluate a kernel and its derivatives up to ``order``."""
        ...

    def usage_faults(self, kernel: Kernel, operands: Operands, dtype: str, device: str, order: int) -> tuple[str, ...]:
        """What a kernel does wrong when it is called as programs call it, beyond single evaluations."""
        ...

    def may_look(self, kernel: Kernel) -> bool:
        """Whether a kernel can be evaluated now, on a small case, within milliseconds."""
        ...

    def thunk(self, kernel: Kernel, operands: Operands, dtype: str, device: str, order: int) -> Callable[[], Any]:
        """One call, with derivatives as the order asks, waiting for the device: what the tuner times. Returns what it computed."""
        ...

    def numbers(self, result: Any) -> list[Array]:
        """What a thunk returned, as float64: the same arrays for every kernel."""
        ...

    def other_orders(self, asked: int) -> tuple[int, ...]:
        """Orders that a program may ask of the kernel of a problem with ``asked`` derivatives, besides that one."""
        ...

    def free_bytes(self, device: str) -> int:
        """Memory that is free on the device."""
        ...


def frame(name: str) -> Frame:
    """The frame of a framework, imported on first use."""
    return import_module(f"tpregistry.{name}.frame").FRAME
