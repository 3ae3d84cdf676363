"""What OpenEquivariance cannot do, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator

from tpregistry.backend import Reason
from tpregistry.irreps import Irreps
from tpregistry.problem import Mode, Problem

NAME = "openequivariance"


def reasons(problem: Problem, device: str, framework: str) -> tuple[Reason, ...]:
    """All of them."""
    graphs = (*_sums(problem), *(_nodes(problem) if framework == "jax" else ()))
    return (*_place(problem, device), *_paths(problem), *_pieces(problem), *_roundings(problem), *graphs)


def _place(problem: Problem, device: str) -> Iterator[Reason]:
    if device.split(":")[0] != "cuda":  # torch's name for AMD's GPUs as well
        yield Reason("TP120", f"{NAME} runs on NVIDIA and AMD GPUs, not on {device}")
    if problem.dtype not in ("float32", "float64"):
        yield Reason("TP121", f"{NAME} computes in float32 and float64, not in {problem.dtype}")


def _paths(problem: Problem) -> Iterator[Reason]:
    modes = sorted({path.mode.value for path in problem.paths})
    strange = [mode for mode in modes if mode not in (Mode.UVU, Mode.UVW)]
    if strange:
        yield Reason("TP123", f"{NAME} does modes uvu and uvw, not {', '.join(strange)}")
    if len(modes) > 1:
        yield Reason("TP123", f"{NAME} wants one mode for all paths, not {' and '.join(modes)}")
    unweighted = sum(not path.has_weight for path in problem.paths)
    if unweighted:
        yield Reason("TP124", f"{NAME} wants weights for every path, but {unweighted} of {len(problem.paths)} have none")


def _pieces(problem: Problem) -> Iterator[Reason]:
    """Where no path reads or writes, its batched kernels leave memory as they found it; convolutions begin with zeros."""
    if not problem.paths:
        yield Reason("TP125", f"{NAME} wants at least one path")
    for operand, irreps, reached in (
        ("x", problem.irreps_in1, {path.i_in1 for path in problem.paths}),
        ("y", problem.irreps_in2, {path.i_in2 for path in problem.paths}),
        ("out", problem.irreps_out, {path.i_out for path in problem.paths}),
    ):
        yield from _empty(operand, irreps)
        yield from () if problem.convolves else _untouched(operand, irreps, reached)


def _empty(operand: str, irreps: Irreps) -> Iterator[Reason]:
    empty = [str(item) for item in irreps if not item.mul]
    if empty:
        yield Reason("TP125", f"{NAME} wants copies of every piece of {operand}, but {', '.join(empty)} has none")


def _untouched(operand: str, irreps: Irreps, reached: set[int]) -> Iterator[Reason]:
    lost = [str(item) for number, item in enumerate(irreps) if item.mul and number not in reached]
    if lost and reached:
        yield Reason("TP125", f"{NAME} wants a path for every piece of {operand}, but {', '.join(lost)} has none")


def _roundings(problem: Problem) -> Iterator[Reason]:
    """Its 3j tensors are exact and then of the problem's dtype."""
    same = {"exact", "float32"} if problem.dtype == "float32" else {"exact"}
    foreign = sorted({path.rounding for path in problem.paths} - same)
    if foreign:
        yield Reason("TP125", f"{NAME} has exact coefficients, the model's were rounded to {', '.join(foreign)}")


def _sums(problem: Problem) -> Iterator[Reason]:
    """Its repeatable convolution takes the graph for symmetric in derivatives, which nobody promises us."""
    if problem.deterministic and problem.convolves:
        yield Reason("TP126", f"{NAME} sums over a graph by atomics, in no fixed order, unless the graph is symmetric")
    elif problem.deterministic and problem.shared_weights:
        yield Reason("TP126", f"{NAME} sums gradients of shared weights by atomics, in no fixed order")


def _nodes(problem: Problem) -> Iterator[Reason]:
    """In JAX rows are found by 32 bits; there may be twice as many as the problem, which counts in powers of four, says."""
    width = max(problem.irreps_in1.dim, problem.irreps_out.dim)
    if problem.convolves and 2 * problem.nodes * width >= 2**32:
        yield Reason("TP126", f"{NAME} has indices of 32 bits in JAX, too short for about {problem.nodes} nodes of {width} numbers")
