"""``tpregistry doctor``: is everything in place, and if not, what mends it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import typer

from tpregistry import __version__
from tpregistry.cli import output
from tpregistry.cli.output import Cell, JsonFlag

if TYPE_CHECKING:
    from tpregistry.cli.checks import Check

SCHEMA = "tpregistry.doctor/1"
SHADES = {"ok": output.GOOD, "warn": output.CAREFUL, "fail": output.BAD}


def doctor(json: JsonFlag = False) -> None:
    """Check the installation, the start-up hook, the store and the settings; say what mends each fault.

    \b
    Exit codes:
      0  all is well
      1  there are warnings
      2  something does not work
    """
    from tpregistry.cli.checks import examine

    checks = examine()
    worst = max(("ok", "warn", "fail").index(check.state) for check in checks)
    if json:
        fields = [check._asdict() for check in checks]
        output.print_json(SCHEMA, {"tpregistry": __version__, "state": tuple(SHADES)[worst], "checks": fields})
    else:
        _print(checks)
    raise typer.Exit(worst)


def _print(checks: list[Check]) -> None:
    for area, group in groupby(checks, key=lambda check: check.area):
        output.print_heading(area)
        for check in group:
            state = Cell(f"  {check.state:<4}", SHADES[check.state])
            output.print_line(state, "  ", check.text)
            if check.cure:
                output.print_line(Cell(f"        -> {check.cure}", output.QUIET if check.state == "ok" else output.STRONG))
    counts = [(state, sum(check.state == state for check in checks)) for state in ("fail", "warn", "ok")]
    summary = ", ".join(f"{number} {state}" for state, number in counts if number)
    output.print_heading("In all", summary)
