"""Commands, from the typer application: what ``--help`` prints, as a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from generate.markdown import block, code, table
from tpregistry.cli.app import app

LITERAL = "\b\n"
"""What typer's help texts put before a paragraph that keeps its lines."""


def every() -> str:
    """What is common to all, then a section for each command, in the order of ``tpregistry --help``."""
    return "\n\n".join(_sections("tpregistry", typer.main.get_command(app), 1))


def _sections(called: str, command: Any, level: int) -> Iterator[str]:
    """The help of a command, and below it that of its subcommands; the page's own title stands for the first."""
    name = called.removeprefix("tpregistry ")
    heading = f"{'#' * level} {name} {{ #{name.replace(' ', '-')} }}\n\n" if level > 1 else ""
    yield heading + _help(called, command)
    for below, one in getattr(command, "commands", {}).items():
        yield from _sections(f"{called} {below}", one, level + 1)


def _help(called: str, command: Any) -> str:
    context = command.context_class(command, info_name=called)
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = [record for record in (parameter.get_help_record(context) for parameter in command.get_params(context)) if record]
    rows = [(code(" ".join(first.split())), " ".join(second.split())) for first, second in records]
    paragraphs = map(_paragraph, command.help.split("\n\n"))
    return "\n\n".join([block(usage), *paragraphs, table(("argument or option", "meaning"), rows)])


def _paragraph(text: str) -> str:
    """Text that keeps its lines becomes a line of text with the rest below it, as it is."""
    if not text.startswith(LITERAL):
        return text
    title, _, rest = text.removeprefix(LITERAL).partition("\n")
    return f"**{title}**\n\n{block(_dedented(rest))}" if rest else f"**{title}**"


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix("  ") for line in text.splitlines())
