"""e3nn's own models as a model host: which of their classes are sites. Imports neither torch nor e3nn."""

from __future__ import annotations

from tpregistry.model_host import ModelHost
from tpregistry_e3nn.adapter import TESTED

__all__ = ["TESTED", "Adapter"]


class Adapter(ModelHost):
    """Fuses the convolutions of `e3nn.nn.models.v2106`; older ones need torch_scatter, and stay as they are."""

    def __init__(self) -> None:
        super().__init__("tpregistry_e3nn.points:Convolution")
