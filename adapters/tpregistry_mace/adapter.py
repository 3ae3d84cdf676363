"""MACE as a host: which of its classes are sites. Imports neither torch nor MACE."""

from __future__ import annotations

from tpregistry.model_host import ModelHost

TESTED = ("0.3.16",)
BEYOND = "models that --enable_cueq or --enable_oeq has changed, compiled ones and those of TorchScript (LAMMPS)"
"""What stays stock in any case; `tpregistry doctor` says it."""


class Adapter(ModelHost):
    """Compiles the symmetric contractions of MACE."""

    def __init__(self) -> None:
        super().__init__("tpregistry_mace.contraction:Contraction")
