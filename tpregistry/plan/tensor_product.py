"""The plan of a `tensor_product` or `tensor_product_conv` problem: one trilinear term per path."""

from __future__ import annotations

import numpy as np

from tpregistry.irreps import Irreps
from tpregistry.plan.plan import Operand, Plan, Segment, Term
from tpregistry.problem import Path, Problem
from tpregistry.so3 import rounded_wigner_3j


def plan_tensor_product(problem: Problem) -> Plan:
    """``out_k += coefficient * w * C_ijk x_i y_j`` per path, in all eight connection modes; operands x, y, w and out.

    Paths with no copies contribute nothing and are left out. For a convolution, x lies at senders and out at receivers.
    """
    sender, receiver = ("sender", "receiver") if problem.convolves else ("", "")
    inputs = (
        Operand("x", problem.irreps_in1.dim, site=sender),
        Operand("y", problem.irreps_in2.dim),
        Operand("w", problem.weight_numel, batched=not problem.shared_weights),
    )
    terms = (_term(problem, number) for number, shape in enumerate(problem.path_shapes) if 0 not in shape)
    return Plan(inputs, (Operand("out", problem.irreps_out.dim, site=receiver),), tuple(terms))


def _term(problem: Problem, number: int) -> Term:
    path = problem.paths[number]
    x, y, w, out = path.mode.letters
    pairs = _pairs(problem, path)
    factors = [
        _segment("x", problem.irreps_in1, path.i_in1, x, "i", pairs and pairs[0]),
        _segment("y", problem.irreps_in2, path.i_in2, y, "j", pairs and pairs[1]),
    ]
    place = problem.weight_slices[number]
    if place is not None:
        factors.append(Segment("w", place.start, w, "", problem.path_shapes[number]))
    return Term(tuple(factors), _target(problem, path, out), "ijk", _coefficients(problem, path))


def _coefficients(problem: Problem, path: Path) -> np.ndarray:
    return path.coefficient * rounded_wigner_3j(*problem.degrees(path), path.rounding)


def _segment(name: str, irreps: Irreps, index: int, letter: str, axis: str, gather: tuple[int, ...] | None) -> Segment:
    item = irreps[index]
    return Segment(name, irreps.offsets[index], letter, axis, (item.mul, 2 * item.l + 1), gather)


def _target(problem: Problem, path: Path, letters: str) -> Segment:
    item = problem.irreps_out[path.i_out]
    copies = (problem.irreps_in1[path.i_in1].mul, problem.irreps_in2[path.i_in2].mul) if letters == "uv" else (item.mul,)
    return Segment("out", problem.irreps_out.offsets[path.i_out], letters, "k", (*copies, 2 * item.l + 1))


def _pairs(problem: Problem, path: Path) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    if not path.mode.paired:
        return None
    rows, columns = np.triu_indices(problem.irreps_in1[path.i_in1].mul, k=1)
    return tuple(rows.tolist()), tuple(columns.tolist())
