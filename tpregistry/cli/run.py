"""``tpregistry run -- CMD...``: a program with its tensor products accelerated, and a line on what ran where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tpregistry.cli.after_dashes import COMMAND
from tpregistry.cli.output import JsonFlag
from tpregistry.cli.subjects import SubjectError

BackendOption = Annotated[str | None, typer.Option("--backend", help="As in TP_BACKEND [TP_BACKEND, else auto].")]
ReportOption = Annotated[Path | None, typer.Option("--report", help="File for what ran: the object that --json prints.")]


def run(ctx: typer.Context, backend: BackendOption = None, report: ReportOption = None, json: JsonFlag = False) -> None:
    """Run a program with TP_BACKEND set, and say in one line on stderr what ran on which backend.

    The program is not modified; the start-up file of tpregistry does what `TP_BACKEND=auto CMD...` does. Where Python reads
    no start-up file (python -S, tpregistry on PYTHONPATH only) nothing is accelerated, and the line says so:
    `import tpregistry.auto` at the top of the program works there. SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 are passed
    on; a second Ctrl-C sends SIGTERM.

    \b
    Exit codes:
      CMD's own, or 128 and the number of the signal that ended it
      2    there is no CMD, it cannot be run, or an option means nothing
    """
    command = ctx.meta.get(COMMAND)
    if not command:
        raise SubjectError("name a program with its arguments after --, such as `tpregistry run -- python train.py`")
    asked = backend or os.environ.get("TP_BACKEND") or "auto"
    check(asked)
    from tpregistry.cli import run_command

    raise typer.Exit(run_command.run(command, asked, report, json=json))


def check(asked: str) -> None:
    """Raise SettingError where TP_BACKEND would mean nothing: before a program spends an hour on its way to that."""
    from tpregistry import discovery
    from tpregistry.settings import current, resolve

    request = resolve({"backend": asked}, base=current()).backend
    discovery.check_request(request, discovery.backends(current()))
