"""``tpregistry tradeoff``: what each tensor product can do on the user's irreps, and what it takes on the user's device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tpregistry.cli import subjects
from tpregistry.cli.output import JsonFlag

ChannelsOption = Annotated[int, typer.Option("--channels", min=1, help="Copies of every irrep.")]
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Draw it to FILE.png or FILE.svg; needs matplotlib.")]


def tradeoff(
    in1: Annotated[str, typer.Argument(metavar="IN1", help="Irreps, each named once: 0e+1o+2e.", show_default=False)],
    in2: Annotated[str, typer.Argument(metavar="IN2", show_default=False)],
    out: Annotated[str | None, typer.Argument(metavar="[OUT]", help="[every irrep that IN1 x IN2 reaches]")] = None,
    channels: ChannelsOption = 16,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples per call.")] = 1000,
    dtype: Annotated[str, typer.Option("--dtype", help="float32 or float64.")] = "float32",
    rounds: Annotated[int, typer.Option("--rounds", min=3, help="Every backend takes a turn in each, in random order.")] = 15,
    device: subjects.DeviceOption = "cpu",
    plot: PlotOption = None,
    json: JsonFlag = False,
) -> None:
    """Expressivity, missing interactions and time of each tensor product on irreps of yours ("The Price of Freedom").

    Expressivity is the number of bilinear maps that a product between linear maps can be, with one copy of each irrep;
    interactions are the triples of irreps that it lets meet. Times are those of the products alone, without linear maps, each by
    its fastest valid backend. Different products are different models: a faster one is no drop-in for another.

    \b
    Exit codes:
      0  done
      2  the irreps or a setting cannot be read
    """
    subjects.check_dtypes([dtype])
    subjects.check_device(device)
    from tpregistry.cli import tradeoff_table

    asked = tradeoff_table.Asked(in1, in2, out, channels, batch, dtype, rounds, device)
    raise typer.Exit(tradeoff_table.run(asked, plot, json=json))
