"""The graph of a convolution: which node each edge reads, and which it is summed into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Edges:
    """Senders and receivers, one of each per edge; ``nodes`` receive and ``sending`` send (they may be other nodes)."""

    senders: Index
    receivers: Index
    sending: int
    nodes: int

    def at(self, site: str) -> Index:
        """The node of each edge at a site."""
        return {"sender": self.senders, "receiver": self.receivers}[site]

    def count(self, site: str) -> int:
        """Nodes at a site."""
        return {"sender": self.sending, "receiver": self.nodes}[site]

    def tiled(self, copies: int) -> Edges:
        """Copies of the graph side by side, without edges between them."""
        offsets = np.repeat(np.arange(copies), len(self.senders))
        senders, receivers = np.tile(self.senders, copies), np.tile(self.receivers, copies)
        return Edges(senders + offsets * self.sending, receivers + offsets * self.nodes, self.sending * copies, self.nodes * copies)
