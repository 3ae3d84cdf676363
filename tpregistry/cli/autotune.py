"""``tpregistry autotune``: check and measure ahead of time, for named problems or for whatever a program meets."""

from __future__ import annotations

from typing import Annotated

import typer

from tpregistry.cli import subjects
from tpregistry.cli.after_dashes import COMMAND
from tpregistry.cli.output import JsonFlag
from tpregistry.cli.subjects import SubjectError
from tpregistry.problem import ORDERS


def autotune(
    ctx: typer.Context,
    subject: Annotated[
        list[str] | None, typer.Argument(metavar="SUBJECT...", help="IN1 IN2 [OUT] | FILE.json | DIGEST | FILE.pt")
    ] = None,
    budget: Annotated[str, typer.Option("--budget", help="Time for each problem, such as 30 or 2m.")] = "60",
    again: Annotated[bool, typer.Option("--again", help="For CMD: measure anew what has a record.")] = False,
    mode: subjects.ModeOption = "uvu",
    dtype: subjects.DtypeOption = None,
    batch: subjects.BatchOption = None,
    derivatives: subjects.DerivativesOption = None,
    shared: subjects.SharedOption = None,
    device: subjects.DeviceOption = "cpu",
    trust: subjects.TrustOption = False,
    json: JsonFlag = False,
) -> None:
    """Check and measure every backend, and keep the result for later programs.

    SUBJECT is named as for `explain` and always measured anew; irreps and modules at every order of derivatives, unless
    --derivatives says which. With `-- CMD...` the program runs once, with
    TP_BACKEND=auto unless it is set, and what it meets is measured on the way. Ctrl-C keeps what is finished.

    \b
    Exit codes:
      0    every problem was measured
      2    the subject, the program or a setting cannot be read
      3    only the host can do some problem, or CMD met none
      4    the budget left candidates unbuilt or unmeasured: give more
      130  Ctrl-C
      CMD's own exit code, where it is not 0
    """
    command = ctx.meta.get(COMMAND)
    if command is not None:
        if subject or not command:
            raise SubjectError("name either subjects or, after --, a program with its arguments")
        from tpregistry.cli import autotune_command

        raise typer.Exit(autotune_command.run(command, budget, again=again, json=json))
    options = subjects.Options(mode, dtype, shared, device, trust)
    named = subjects.read_subjects(subject or [], options)
    subjects.check_device(device)
    if derivatives is None and subjects.are_irreps(subject or []):
        named = [problem.at(derivatives=order) for problem in named for order in ORDERS]
    from tpregistry.cli import autotune_subjects

    changes = {"batch": batch, "derivatives": derivatives, "device": device, "budget": budget}
    raise typer.Exit(autotune_subjects.run(named, changes, json=json))
