"""What layers around products of signals share, whatever the framework: which signals their linear maps lead to and from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tpregistry import products
from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.problem import Problem

Written = Irreps | str | Any
"""Irreps of ours or of a host, or their text."""

INSTEAD = {
    "gaunt": ", or use CompleteGauntTensorProduct or MatrixTensorProduct",
    "curl": ", or use CompleteGauntTensorProduct or MatrixTensorProduct",
    "vector_signal": ", or use CompleteVectorSignalTensorProduct",
}


@dataclass(frozen=True)
class Layout:
    """``outer`` irreps of the layer, and the problem between its linear maps, whose irreps are the inner ones."""

    outer: tuple[Irreps, Irreps, Irreps]
    problem: Problem
    channels: int

    @property
    def inner(self) -> tuple[Irreps, Irreps, Irreps]:
        """Irreps of the signals."""
        return self.problem.irreps_in1, self.problem.irreps_in2, self.problem.irreps_out

    @property
    def reached(self) -> set[tuple[int, int]]:
        """Degree and parity of the outputs to which any path leads."""
        return {self.problem.irreps_out[path.i_out][1:] for path in self.problem.paths}

    @property
    def ends(self) -> dict[str, tuple[Irreps, Irreps]]:
        """From where to where each linear map leads."""
        (in1, in2, out), inner = self.outer, self.inner
        return {"in1": (in1, inner[0]), "in2": (in2, inner[1]), "out": (inner[2], out)}


def layout(operation: str, in1: Written, in2: Written, out: Written, channels: int | None = None) -> Layout:
    """Every kind of irrep once per channel; as many channels as the largest multiplicity unless given."""
    outer = read(in1), read(in2), read(out)
    copies = channels or max((item.mul for rep in outer for item in rep), default=1)
    make = getattr(products, operation)
    return Layout(outer, make(*(_signal(operation, rep, copies) for rep in outer)), copies)


GAUNT_AND_CURL = {"even": "gaunt", "odd": "curl"}
VECTORS_AND_SCALARS = {"vector": "vector_signal", "scalar": "gaunt"}
"""Products of the layers that are sums of two, and what each is called there."""


def shares(
    name: str, operations: Iterable[str], outer: Sequence[Written], channels: int | None = None, *, partly: bool = False
) -> list[float]:
    """By what a layer scales each irrep of the sum of its products: unit variance where several of them lead there.

    Raises ValueError for outputs that none of them reaches, unless ``partly``.
    """
    in1, in2, out = outer
    laid = [layout(operation, in1, in2, out, channels) for operation in operations]
    if not partly:
        require_reached(name, laid[0].outer, {kind for one in laid for kind in one.reached})
    return [max(1, sum(item[1:] in one.reached for one in laid)) ** -0.5 for item in laid[0].outer[2]]


def require_reached(name: str, outer: tuple[Irreps, Irreps, Irreps], reached: set[tuple[int, int]], instead: str = "") -> None:
    """Raise ValueError for outputs to which no path leads."""
    lost = [str(item) for item in outer[2] if item.mul and item[1:] not in reached]
    if lost:
        raise ValueError(f"{name} of {outer[0]} and {outer[1]} never gives {'+'.join(lost)}: leave it out of irreps_out{instead}")


def read(irreps: Written) -> Irreps:
    """Irreps from whatever a user writes. Raises ValueError for what is none."""
    return irreps if isinstance(irreps, Irreps) else Irreps.parse(str(irreps))


def _signal(operation: str, irreps: Irreps, copies: int) -> Irreps:
    kinds = sorted({(item.l, item.p) for item in irreps if item.mul})
    signal = Irreps(tuple(MulIrrep(copies, l, p) for l, p in kinds))
    return products.vector_fields(signal) if operation == "vector_signal" else signal
