"""What the program says of checking and choosing: the cases of the gate, its tolerances, its rule, its sources."""

from __future__ import annotations

import inspect

from generate.markdown import attribute_docs, code, table
from tpregistry import select
from tpregistry.gate import gate
from tpregistry.gate.cases import cases
from tpregistry.problem import DTYPES
from tpregistry.testing import FAULTS, zoo


def checks() -> str:
    """Names of the cases on which a kernel is evaluated."""
    problem = next(iter(zoo().values()))
    return ", ".join(code(case.name) for case in cases(problem, seed=0, bucket_tiles=2))


def tolerances() -> str:
    """What the gate allows, by dtype."""
    said = attribute_docs(gate)
    multiples = [f"{multiple:g}" for multiple in gate.MULTIPLES.values()]
    rows = [(code(dtype), f"{gate.FLOORS[dtype]:g}", *multiples) for dtype in DTYPES]
    head = ("dtype", "floor", "output", "gradients", "second gradients")
    return f"Multiples: {_lower(said['MULTIPLES'])} Floors: {_lower(said['FLOORS'])}\n\n{table(head, rows)}"


def faults() -> str:
    """The faults that the tests hand to the gate, which must notice each."""
    return "\n".join(f"- {name}" for name in FAULTS)


def rule() -> str:
    """The rule of `select`, from its docstring."""
    text = inspect.cleandoc(select.__doc__ or "")
    return text[text.index("1. ") :]


def sources() -> str:
    """Where a decision may come from."""
    return table(("source", "what it means"), [(code(one.value), _SAID[one.name]) for one in select.Source])


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


_SAID = attribute_docs(select.Source)
