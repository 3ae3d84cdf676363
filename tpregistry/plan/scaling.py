"""Paths that scale vectors by scalars through dense weights: `uvw` where one operand is scalar.

The scalars mixed into the weights give a matrix for each sample, which is applied to all 2 l + 1 components; the product
of all copies first would be made, and mixed, for each component.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tpregistry.plan.plan import Operand, Plan, Segment, Term
from tpregistry.problem import Mode, Problem
from tpregistry.so3 import rounded_wigner_3j


@dataclass(frozen=True)
class Scaling:
    """``out[w, k] += coefficient * sum_st scalars[s] weights[s, t, w] vectors[t, k]``: places in x, y, w and out.

    Vectors are a piece of x and scalars one of y, or, where ``of_x``, the other way round. ``shape`` is that of the
    weights as the problem has them: (u, v, w), so (t, s, w) unless ``of_x``.
    """

    vectors: slice
    scalars: slice
    of_x: bool
    weights: slice
    shape: tuple[int, ...]
    coefficient: float
    out: slice

    @property
    def copies(self) -> tuple[int, int, int]:
        """s, t, w."""
        u, v, w = self.shape
        return (u, v, w) if self.of_x else (v, u, w)

    def plan(self) -> Plan:
        """One term, on operands of its own; weights are laid out as (s, t, w)."""
        s, t, w = self.copies
        size = (self.out.stop - self.out.start) // w
        vectors, scalars = Segment("vectors", 0, "t", "i", (t, size)), Segment("scalars", 0, "s", "", (s,))
        weights, out = Segment("weights", 0, "stw", "", (s, t, w)), Segment("out", 0, "w", "k", (w, size))
        term = Term((vectors, scalars, weights), out, "ik", self.coefficient * np.eye(size))
        inputs = Operand("vectors", t * size), Operand("scalars", s), Operand("weights", s * t * w, batched=False)
        return Plan(inputs, (Operand("out", w * size),), (term,))


def scales_vectors(problem: Problem, number: int) -> bool:
    """Whether a path is better computed so. Between scalars, or with one of them, there is nothing to save."""
    path = problem.paths[number]
    x, y = problem.irreps_in1[path.i_in1], problem.irreps_in2[path.i_in2]
    scalars = min(x, y, key=lambda item: item.l)
    return path.mode is Mode.UVW and problem.shared_weights and max(x.l, y.l) > 0 == scalars.l and scalars.mul > 1


def scaling(problem: Problem, number: int) -> Scaling:
    """The path in that form."""
    path, place = problem.paths[number], problem.weight_slices[number]
    assert place is not None
    degrees = problem.degrees(path)
    coefficient = path.coefficient * float(rounded_wigner_3j(*degrees, path.rounding)[0, 0, 0])
    x, y = problem.irreps_in1.slices()[path.i_in1], problem.irreps_in2.slices()[path.i_in2]
    of_x, out = degrees[0] == 0, problem.irreps_out.slices()[path.i_out]
    vectors, scalars = (y, x) if of_x else (x, y)
    return Scaling(vectors, scalars, of_x, place, problem.path_shapes[number], coefficient, out)
