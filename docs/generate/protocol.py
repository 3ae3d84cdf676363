"""The plugin protocol, from `tpregistry.backend`: each class with its docstring, fields and methods."""

from __future__ import annotations

import ast
import inspect

from generate.markdown import block
from tpregistry import backend

CLASSES = (backend.Backend, backend.Face, backend.Verdict, backend.Reason, backend.Kernel, backend.OpaqueKernel)


def every() -> str:
    """A section for each class, in the order in which a reader needs them."""
    return "\n\n".join(map(_section, CLASSES))


def _section(cls: type) -> str:
    (tree,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(tree, ast.ClassDef)
    methods = [node for node in tree.body if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)]
    said = [f"- `{node.name}`: {' '.join((ast.get_docstring(node) or '').split())}" for node in methods]
    parts = [f"### {cls.__name__}", inspect.cleandoc(cls.__doc__ or ""), "\n".join(said), block(_outline(tree), "python")]
    return "\n\n".join(filter(None, parts))


def _outline(tree: ast.ClassDef) -> str:
    """The class without docstrings and bodies."""
    kept: list[ast.stmt] = [node for node in tree.body if isinstance(node, ast.AnnAssign | ast.FunctionDef)]
    for node in kept:
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Expr(ast.Constant(...))]
    tree.body = [node for node in kept if not (isinstance(node, ast.FunctionDef) and node.name.startswith("__"))]
    return ast.unparse(tree)
