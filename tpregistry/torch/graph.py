"""The graph of a convolution in torch: indices, and the orders in which sweeps over its nodes visit the edges."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch

Tensor = torch.Tensor

_recent = threading.local()
KEPT = 2
"""Graphs that a thread remembers: the layers of a model share one, and training alternates between few."""


@dataclass(frozen=True)
class Order:
    """Edges grouped by the node that owns them, as int64: those of node n are ``edges[first[n]:first[n + 1]]``.

    ``other`` is the node at the other end of each, in the same order.
    """

    first: Tensor
    edges: Tensor
    other: Tensor

    def ranges(self, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Adjoining ranges of nodes that hold about these ranges of edges, which cover all of them."""
        bounds = torch.searchsorted(self.first, torch.tensor([begin for begin, _ in edges[1:]], dtype=torch.int64, device="cpu"))
        return list(pairwise([0, *bounds.tolist(), len(self.first) - 1]))

    @cached_property
    def addresses(self) -> list[int]:
        """Where the three arrays lie."""
        return [tensor.data_ptr() for tensor in (self.first, self.edges, self.other)]


class Graph:
    """Senders and receivers of a convolution, one of each per edge, int32 or int64, on the device of the operands.

    ``nodes`` receive, ``sending`` send. Raises ValueError for what is no list of indices, IndexError for a node that is not there.
    What is kept can be part of a training step, also where the graph is met in `torch.inference_mode` first.
    """

    def __init__(self, senders: Tensor, receivers: Tensor, sending: int, nodes: int) -> None:
        _check(senders, receivers, sending, nodes)
        with torch.inference_mode(False):
            self.senders, self.receivers = _index(senders), _index(receivers)
        self.sending, self.nodes = sending, nodes
        self._given = senders, receivers

    def __len__(self) -> int:
        return len(self.senders)

    def count(self, site: str) -> int:
        """Nodes at a site ("sender", "receiver")."""
        return self.sending if site == "sender" else self.nodes

    @cached_property
    def _orders(self) -> dict[str, Order]:
        return {}

    def order(self, site: str) -> Order:
        """The edges by their nodes at a site; ties stay in the order of the edges, so that sums are repeatable."""
        if site not in self._orders:
            ends = (self.senders, self.receivers) if site == "sender" else (self.receivers, self.senders)
            with torch.inference_mode(False):
                self._orders[site] = _order(*ends, self.count(site))
        return self._orders[site]

    def equals(self, senders: Tensor, receivers: Tensor, sending: int, nodes: int) -> bool:
        """Whether it is the graph of these, by what they hold now."""
        if (self.sending, self.nodes) != (sending, nodes):
            return False
        pairs = list(zip(self._given, (senders, receivers), strict=True))
        alike = all((ours.dtype, ours.device) == (theirs.dtype, theirs.device) for ours, theirs in pairs)
        return alike and all(torch.equal(ours, theirs) for ours, theirs in pairs)


def graph(senders: Tensor, receivers: Tensor, sending: int, nodes: int) -> Graph:
    """A graph, with its orders where this thread has just used an equal one.

    Indices are compared by value: programs write new neighbours into arrays that they keep. Raises RuntimeError while a CUDA
    graph is captured, for then values cannot be looked at.
    """
    stream = _stream(senders)
    known: list[Graph] = _recent.__dict__.setdefault(f"graphs of stream {stream}", [])
    for place, found in enumerate(known):
        if found.equals(senders, receivers, sending, nodes):
            known.insert(0, known.pop(place))
            return found
    with torch.inference_mode(False):
        made = Graph(senders.clone(), receivers.clone(), sending, nodes)
    known[:] = [made, *known[: KEPT - 1]]
    return made


def _index(index: Tensor) -> Tensor:
    """As kernels read it: int64, side by side."""
    found = index.long().contiguous()
    return found.clone() if found.is_inference() else found


def _stream(index: Tensor) -> int:
    """The current one: what is made on one is not ready for another."""
    if not index.is_cuda:
        return 0
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError("senders and receivers cannot be looked at while a CUDA graph is captured: give a Graph made before")
    return torch.cuda.current_stream(index.device).cuda_stream


def _order(owner: Tensor, other: Tensor, nodes: int) -> Order:
    first = owner.new_zeros(nodes + 1)
    torch.cumsum(torch.bincount(owner, minlength=nodes), 0, out=first[1:])
    if bool((owner[1:] >= owner[:-1]).all()):
        return Order(first, torch.arange(len(owner), device=owner.device), other.contiguous())
    edges = _sorted(owner, nodes) if owner.device.type == "cpu" else torch.argsort(owner, stable=True)
    return Order(first, edges, other.index_select(0, edges))


def _sorted(owner: Tensor, nodes: int) -> Tensor:
    """As `argsort`, digit by digit of 16 bits, which NumPy sorts by counting: a tenth of the time of comparisons.

    Graphs may be others at every call of a program, and then this is part of each.
    """
    keys = owner.numpy()
    edges = np.argsort(keys.astype(np.uint16), kind="stable")
    for shift in range(16, nodes.bit_length(), 16):
        edges = edges[np.argsort((keys[edges] >> shift).astype(np.uint16), kind="stable")]
    return torch.from_numpy(edges)


def _check(senders: Tensor, receivers: Tensor, sending: int, nodes: int) -> None:
    for name, index, count in (("senders", senders, sending), ("receivers", receivers, nodes)):
        if index.dtype not in (torch.int32, torch.int64) or index.dim() != 1:
            raise ValueError(f"{name}: an index of shape (edges,), int32 or int64, not {tuple(index.shape)} {index.dtype}")
        if len(index) and not (int(index.min()) >= 0 and int(index.max()) < count):
            raise IndexError(f"{name} go from {int(index.min())} to {int(index.max())}, but there are {count} nodes")
    if len(senders) != len(receivers):
        raise ValueError(f"{len(senders)} senders, but {len(receivers)} receivers: there is one of each per edge")
