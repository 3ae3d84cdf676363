"""A schedule as Triton kernels: a program owns some samples, or a node of a graph, and a lane of it a channel.

What a plan writes is put together in registers and stored once; see `passes` for where that takes several kernels. Sums over
lanes are trees within a program, sums over the edges of a node are made by the program that owns the node, in their order, and
sums over all samples go to a row per program, which the caller adds up. So there are no atomics, unless the form asks for them.

``kernel(addresses and row strides of operands, [arrays of the graph,] samples or nodes, programs)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tpregistry.plan import Plan
from tpregistry.plan.orders import ORDER
from tpregistry.plan.schedule import Schedule
from tpregistry_cg.triton.form import Form
from tpregistry_cg.triton.passes import Group, Written, parts, passes, targets
from tpregistry_cg.triton.program import Program
from tpregistry_cg.triton.text import Text
from tpregistry_cg.triton.tile import Tile, power

WIDTH = 128
"""Lanes of a program: channels of several samples, where a sample has fewer channels than that."""


@dataclass(frozen=True)
class Pass:
    """One kernel: its name, how many programs side by side share a block of samples, samples in a block, lanes of each."""

    name: str
    parts: int
    samples: int
    lanes: int


@dataclass(frozen=True)
class Emitted:
    """The source of a module, its kernels in the order in which they run, outputs that must be zeros before, and those that
    are the sum of what several kernels or programs store: these are kept in the precision of the arithmetic until the end."""

    source: str
    passes: tuple[Pass, ...]
    cleared: frozenset[str]
    summed: frozenset[str]


def emit(schedule: Schedule, real: str, form: Form) -> Emitted:
    """Write a schedule down; arithmetic is in ``real`` (float32, float64), whatever the operands are stored in."""
    found, source, written = [], [_HEAD], Written(schedule.plan)
    for number, groups in enumerate(passes(schedule, form.budget // _REGISTERS[real])):
        one = _pass(f"sweep{number}", schedule.plan, groups, form)
        written.next([target for group in groups for target in targets(group)])
        source += _function(schedule.plan, one, groups, real, form, written)
        found.append(one)
    at_nodes = {operand.name for operand in schedule.plan.outputs if operand.site and form.atomic}
    rows = {operand.name for operand in schedule.plan.outputs if not operand.batched}
    return Emitted("\n".join([*source, ""]), tuple(found), written.cleared() | at_nodes, frozenset(at_nodes | rows | written.added))


def graph_arrays(plan: Plan, form: Form) -> tuple[str, ...]:
    """Names of the arrays that describe the edges; none without a graph."""
    if not any(operand.site for operand in plan.inputs + plan.outputs):
        return ()
    return ("sender", "receiver") if form.atomic else ORDER


def _pass(name: str, plan: Plan, groups: list[Group], form: Form) -> Pass:
    lanes = power(max(group[0].lanes for group in groups))
    by_node = graph_arrays(plan, form) == ORDER
    return Pass(name, len(list(parts(groups))), 1 if by_node else max(1, WIDTH // lanes), lanes)


def _function(plan: Plan, one: Pass, groups: list[Group], real: str, form: Form, written: Written) -> list[str]:
    names = [name for n in range(len(plan.inputs + plan.outputs)) for name in (f"p{n}", f"s{n}")]
    names += [*graph_arrays(plan, form), "count", "rows"]
    text = Text()
    for number, part in enumerate(parts(groups)):
        with text.inside(f"if tl.program_id(1) == {number}:" if one.parts > 1 else "if True:"):
            Program(Tile(text, plan, real, one.samples, form), part, written).emit()
    return ["", "", _JIT, f"def {one.name}({', '.join(names)}):", *text.lines]


_REGISTERS = {"float32": 1, "float64": 2}
"""Of a number."""
_JIT = '@triton.jit(do_not_specialize=["count", "rows"])'
"""Triton compiles anew for numbers that are 1 or whole sixteens: every other step of a simulation has another number of edges."""
_HEAD = """import triton
import triton.language as tl"""
