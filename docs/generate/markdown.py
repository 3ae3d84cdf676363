"""Markdown's small change: tables, blocks of code, and the docstrings that stand below assignments."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; a bar inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def block(text: str, language: str = "text") -> str:
    """Text as it is, highlighted as a language."""
    return f"```{language}\n{text.strip(chr(10))}\n```"


def code(text: str) -> str:
    """Text as it is, within a line."""
    return f"`{text}`"


def attribute_docs(owner: type | ModuleType) -> dict[str, str]:
    """The docstring below each assignment of a class or module, by name, on one line."""
    nodes = ast.parse(inspect.getsource(owner)).body
    if isinstance(owner, type) and isinstance(nodes[0], ast.ClassDef):
        nodes = nodes[0].body
    return {_name(first): _text(second) for first, second in pairwise(nodes) if _name(first) and _text(second)}


def _name(node: ast.stmt) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
    return target.id if isinstance(target, ast.Name) else ""


def _text(node: ast.stmt) -> str:
    value = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""
    return " ".join(value.split()) if isinstance(value, str) else ""
