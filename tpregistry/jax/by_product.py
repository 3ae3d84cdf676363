"""Products of other libraries as kernels that take every transformation of JAX.

A library's function may be differentiable in reverse only, or know no `vmap`. What its derivatives compute are sums of the
product and of its gradients, at other operands: a plan says which. So the function evaluates plans, and the rules of their
primitive are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from tpregistry.backend import Kernel
from tpregistry.jax.graph import Graph
from tpregistry.jax.primitive import call
from tpregistry.plan import Operand, Plan, Segment, Term, plan_tensor_product
from tpregistry.problem import Problem

Array = jax.Array
Make = Callable[[Problem], Kernel]
"""Builds a library's product, which JAX can differentiate in reverse, once."""

SLOTS = {"i": "x", "j": "y", "": "w", "k": "out"}
"""The place of a segment in the product, by the letters of its components."""


class ByProduct:
    """The kernel of a problem; lowered on ``platforms`` it is the library's product, elsewhere plain jnp."""

    def __init__(self, problem: Problem, make: Make, platforms: tuple[str, ...]) -> None:
        self._plan, self._compiled = plan_tensor_product(problem), Compiled(problem, make, platforms)
        self.engine = self._compiled.product(problem.shared_weights).engine

    def __call__(self, x: Array, y: Array, w: Array, *, graph: Graph | None = None) -> Array:
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out)."""
        return call(self._plan, self._compiled, x, y, w, graph=graph)[0]


@dataclass
class Evaluation:
    """The product, or its gradients, at the operands ``point``, by slot; ``targets`` are outputs of the plan, by slot."""

    point: dict[str, str]
    targets: dict[str, str]

    def takes(self, point: dict[str, str]) -> bool:
        """Whether a gradient at that point is one of the same backward."""
        return "out" in self.point.keys() & point.keys() and all(self.point.get(s, name) == name for s, name in point.items())

    def read(self, slot: str, given: dict[str, Array], zeros: dict[str, Array]) -> Array:
        """The operand there; zeros where no target depends on it."""
        if slot in self.point:
            return given[self.point[slot]]
        return zeros[self.targets[slot]] if slot in self.targets else jnp.zeros(0, next(iter(given.values())).dtype)


def evaluations(plan: Plan) -> list[Evaluation]:
    """Those that a plan is the sum of; gradients at one point are one."""
    found: list[Evaluation] = []
    for point, slot, name in dict.fromkeys(map(_reading, plan.terms)):
        home = next((one for one in found if slot not in one.targets and one.takes(dict(point))), None)
        if home is None:
            home = Evaluation({}, {})
            found.append(home)
        home.point.update(point)
        home.targets[slot] = name
    return found


def _reading(term: Term) -> tuple[tuple[tuple[str, str], ...], str, str]:
    """Operands by slot, and the slot and name of what is added to."""
    return tuple((_slot(factor), factor.operand) for factor in term.factors), _slot(term.target), term.target.operand


def _slot(segment: Segment) -> str:
    return SLOTS[segment.components]


class Compiled:
    """Functions of plans, see `primitive.Compiled`."""

    def __init__(self, problem: Problem, make: Make, platforms: tuple[str, ...]) -> None:
        self.platforms = platforms
        self.product = cache(lambda shared: make(problem.at(shared_weights=shared)))

    def __call__(self, plan: Plan) -> Callable[..., tuple[Array, ...]]:
        """The plan's outputs as a function of its inputs."""
        return partial(self._evaluate, plan, evaluations(plan))

    def _evaluate(self, plan: Plan, parts: list[Evaluation], *operands: Array, graph: Graph | None = None) -> tuple[Array, ...]:
        given = {operand.name: array for operand, array in zip(plan.inputs, operands, strict=True)}
        rows = len(graph.senders) if graph else next(len(given[o.name]) for o in plan.inputs if o.batched)
        zeros = {o.name: jnp.zeros(_shape(o, rows, graph), operands[0].dtype) for o in plan.outputs}
        sums = dict(zeros)
        for part in parts:
            product, w = self._product(plan, part, part.read("w", given, zeros), rows, graph)
            point = part.read("x", given, zeros), part.read("y", given, zeros), w
            if "out" in part.targets:
                found: dict[str, Array] = {"out": product(*point)}
            else:
                found = dict(zip(("x", "y", "w"), jax.vjp(product, *point)[1](given[part.point["out"]]), strict=True))
            sums |= {name: sums[name] + found[slot] for slot, name in part.targets.items()}
        return tuple(sums.values())

    def _product(self, plan: Plan, part: Evaluation, w: Array, rows: int, graph: Graph | None) -> tuple[Callable[..., Any], Array]:
        """The product with weights as they are there, shared or not, and those weights."""
        names = (part.point.get("w"), part.targets.get("w"))
        shared = not any(plan.operand[name].batched for name in names if name)
        product = self.product(shared)
        weights = w if shared else jnp.broadcast_to(w, (rows, w.shape[-1]))
        return (partial(product, graph=graph) if graph else product), weights


def _shape(operand: Operand, rows: int, graph: Graph | None) -> tuple[int, ...]:
    rows = graph.count(operand.site) if graph and operand.site else rows
    return (rows, operand.size) if operand.batched else (operand.size,)
