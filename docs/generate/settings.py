"""Settings, from `tpregistry.settings`: what it says of each, and what it answers to a value that means nothing."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum

from generate.markdown import attribute_docs, code, table
from tpregistry.cli.checks.setup import value_text
from tpregistry.errors import SettingError
from tpregistry.settings import VARIABLES, Settings, resolve

BAD = "?"
KINDS = {"Path | None": "a path", "tuple[str, ...]": "names, separated by commas"}
"""Values of settings that take any text, by their type."""


def every() -> str:
    """A table of all settings."""
    meanings = attribute_docs(Settings)
    rows = [(code(variable), code(name), _values(name), _default(name), meanings[name]) for name, variable in VARIABLES.items()]
    return table(("variable", "in `use` and pyproject.toml", "values", "default", "meaning"), rows)


def values() -> str:
    """What each word means, for settings that take one of a few."""
    kinds = {name: type(getattr(Settings(), name)) for name in VARIABLES}
    words = [(name, kind, attribute_docs(kind)) for name, kind in kinds.items() if issubclass(kind, StrEnum)]
    rows = [(code(VARIABLES[name]), code(one.value), docs[one.name]) for name, kind, docs in words for one in kind]
    return table(("variable", "value", "meaning"), rows)


def _values(name: str) -> str:
    """The right values, as the error message of a wrong one lists them."""
    try:
        resolve({name: BAD})
    except SettingError as error:
        return str(error).partition(": use ")[2]
    return next(KINDS[str(field.type)] for field in fields(Settings) if field.name == name)


def _default(name: str) -> str:
    return value_text(Settings(), name)
