"""SevenNet as a host: which of its classes are sites. Imports neither torch nor SevenNet."""

from __future__ import annotations

from tpregistry.model_host import ModelHost

TESTED = ("0.13",)
BEYOND = "models of LAMMPS with ghosts, which exchange features between convolutions, and blocks of --enable_cueq, flash, oeq"
"""What stays stock in any case; `tpregistry doctor` says it."""


class Adapter(ModelHost):
    """Fuses the convolutions of SevenNet."""

    def __init__(self) -> None:
        super().__init__("tpregistry_sevenn.convolution:Convolution")
