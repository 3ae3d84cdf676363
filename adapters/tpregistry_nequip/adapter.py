"""NequIP as a host: which of its classes are sites. Imports neither torch nor NequIP."""

from __future__ import annotations

from tpregistry.model_host import ModelHost

TESTED = ("0.19",)
BEYOND = "models that `enable_OpenEquivariance` or `enable_CuEquivariance` has changed, packaged and compiled ones"
"""What stays stock in any case; `tpregistry doctor` says it."""


class Adapter(ModelHost):
    """Fuses the convolutions of NequIP."""

    def __init__(self) -> None:
        super().__init__("tpregistry_nequip.convolution:Convolution")
