"""``tpregistry verify``: the gate of one backend on the problem zoo, and the manners of its plugin."""

from __future__ import annotations

from typing import Annotated

import typer

from tpregistry import discovery
from tpregistry.cli import subjects
from tpregistry.cli.output import JsonFlag
from tpregistry.errors import TPError
from tpregistry.problem import DTYPES
from tpregistry.settings import current

DTYPE_HELP = f"{', '.join(DTYPES)}; may be repeated [float32 and float64]."


def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A backend, as `tpregistry list` names it.", show_default=False)],
    dtype: Annotated[list[str] | None, typer.Option("--dtype", help=DTYPE_HELP)] = None,
    only: Annotated[str, typer.Option("--only", help="Problems whose name holds this.")] = "",
    random: Annotated[int, typer.Option("--random", min=0, help="As many random problems besides, in each dtype.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random problems.")] = 0,
    device: subjects.DeviceOption = "cpu",
    framework: Annotated[str, typer.Option("--framework", help="torch or jax [the first of the backend's].")] = "",
    json: JsonFlag = False,
) -> None:
    """Check a backend on the problem zoo against the host's own code, and the manners of its plugin.

    The zoo holds products of published models and products that trip implementations. Each verdict is that of the gate:
    forward, all gradients, double backward, rotation and inversion, odd and empty batches. "error/allowed" is the largest
    error of all checks in units of what is allowed, and above 1 it is wrong. Nothing is timed or recorded.

    \b
    Exit codes:
      0  right on every problem that it supports
      1  wrong or raising somewhere, or its plugin has bad manners
      2  there is no such backend, it cannot be loaded, or an option cannot be read
      3  it supports none of the problems
    """
    plugin = discovery.find(name, discovery.backends(current()))
    if plugin.backend is None:
        raise TPError(f"{name} cannot be loaded: {'; '.join(map(str, plugin.trouble))}")
    subjects.check_dtypes(dtype or ())
    subjects.check_device(device)
    from tpregistry.cli import verification

    chosen = verification.Chosen(tuple(dtype or ("float32", "float64")), only, random, seed, device, framework)
    raise typer.Exit(verification.run(plugin, chosen, json=json))
