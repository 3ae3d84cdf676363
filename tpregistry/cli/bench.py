"""``tpregistry bench``: every backend that passes the gate beside the host, timed on named problems."""

from __future__ import annotations

from typing import Annotated

import typer

from tpregistry.cli import subjects
from tpregistry.cli.output import JsonFlag

BatchOption = Annotated[int | None, typer.Option("--batch", min=1, help="Samples per call, exactly [the subject's batch].")]
RoundsOption = Annotated[int, typer.Option("--rounds", min=3, help="Every backend takes a turn in each, in random order.")]


def bench(
    subject: Annotated[
        list[str], typer.Argument(metavar="SUBJECT...", help="IN1 IN2 [OUT] | FILE.json | DIGEST | FILE.pt", show_default=False)
    ],
    mode: subjects.ModeOption = "uvu",
    dtype: subjects.DtypeOption = None,
    batch: BatchOption = None,
    rounds: RoundsOption = 15,
    derivatives: subjects.DerivativesOption = None,
    shared: subjects.SharedOption = None,
    device: subjects.DeviceOption = "cpu",
    trust: subjects.TrustOption = False,
    json: JsonFlag = False,
) -> None:
    """Time every backend that passes the gate: forward, with gradients, and in the force pattern (training on forces).

    SUBJECT is named as for `explain`. Medians; "vs host" is the median over rounds of the host's time over the backend's,
    in brackets its 95 % interval. Nothing is recorded: `tpregistry autotune` makes the records that programs use.

    \b
    Exit codes:
      0  every problem has a backend besides the host that was timed
      2  the subject or a setting cannot be read
      3  only the host can do some problem
    """
    named = subjects.read_subjects(subject, subjects.Options(mode, dtype, shared, device, trust))
    subjects.check_device(device)
    from tpregistry.cli import comparison

    raise typer.Exit(comparison.run(named, batch, derivatives, device, rounds, json=json))
