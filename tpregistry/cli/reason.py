"""``tpregistry reason``: what a reason code means, and what helps."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from tpregistry.cli import output
from tpregistry.cli.list_backends import lenient_settings
from tpregistry.cli.output import Cell, JsonFlag
from tpregistry.discovery import backends
from tpregistry.reasons import MEANINGS, meaning

SCHEMA = "tpregistry.reason/1"


def reason(
    code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="Such as TP120; without it, all are listed.")] = None,
    json: JsonFlag = False,
) -> None:
    """Explain a reason code: what it means, its cause, its cure, and which backends it keeps from use here.

    Codes of the plugins of others have a prefix of their own; `tpregistry explain` shows their messages.

    \b
    Exit codes:
      0  explained
      2  not a code of tpregistry
    """
    wanted = [meaning(code)] if code else list(MEANINGS.values())
    out = _out_of_use()
    data: list[dict[str, Any]] = [asdict(one) | {"backends": out.get(one.code, [])} for one in wanted]
    if json:
        return output.print_json(SCHEMA, {"reasons": data})
    if code:
        _print_one(data[0])
    else:
        output.print_heading("Reason codes", "`tpregistry reason CODE` explains one")
        output.print_rows([[Cell(one["code"], output.STRONG), one["title"]] for one in data])


def _out_of_use() -> dict[str, list[str]]:
    """Installed backends that cannot be used for any problem, by the code that says why."""
    found: dict[str, list[str]] = {}
    for plugin in backends(lenient_settings()).values():
        for code in dict.fromkeys(reason.code for reason in plugin.trouble):
            found.setdefault(code, []).append(plugin.name)
    return found


def _print_one(one: dict[str, Any]) -> None:
    output.print_heading(one["code"], one["title"])
    rows = [("cause", one["cause"]), ("cure", one["cure"])]
    rows += [("here", ", ".join(one["backends"]))] if one["backends"] else []
    output.print_rows([[Cell(name, output.QUIET), text] for name, text in rows])
