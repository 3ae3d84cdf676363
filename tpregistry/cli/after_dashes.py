"""Commands that end in ``-- CMD...``, a program with arguments."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

COMMAND = "tpregistry.command"


class AfterDashes(TyperCommand):
    """Sets aside what follows ``--`` before options are looked for, so that a program's own options stay its own."""

    pieces = "-- CMD..."

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Split at the first ``--``."""
        if "--" in args:
            place = args.index("--")
            args, ctx.meta[COMMAND] = args[:place], args[place + 1 :]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What the usage line says."""
        return ["[OPTIONS]", self.pieces]


class SubjectsOrProgram(AfterDashes):
    """Takes subjects instead of a program, too."""

    pieces = "SUBJECT... | -- CMD..."
