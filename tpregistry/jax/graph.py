"""The graph of a convolution in JAX: indices that a program computes with, and numbers of nodes that it is compiled for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


class Order(NamedTuple):
    """Edges grouped by the node that owns them: those of node n are ``edges[first[n]:first[n + 1]]``.

    ``other`` is the node at the other end of each, in the same order.
    """

    first: Array
    edges: Array
    other: Array


@partial(jax.tree_util.register_dataclass, data_fields=["senders", "receivers"], meta_fields=["sending", "nodes"])
@dataclass(frozen=True)
class Graph:
    """Senders and receivers, one of each per edge; ``sending`` nodes send, ``nodes`` receive. Made by `graph`."""

    senders: Array
    receivers: Array
    sending: int
    nodes: int

    @property
    def index(self) -> tuple[Array, Array]:
        """What a program computes with."""
        return self.senders, self.receivers

    def count(self, site: str) -> int:
        """Nodes at a site ("sender", "receiver")."""
        return self.sending if site == "sender" else self.nodes

    def gathered(self, site: str, array: Array) -> Array:
        """The row of each edge, zeros where its node is not there; an array without a site has one row per edge already."""
        if not site:
            return array
        return array.at[self.senders if site == "sender" else self.receivers].get(mode="fill", fill_value=0)

    def summed(self, site: str, array: Array) -> Array:
        """Inverse of `gathered`: rows of edges summed at their nodes."""
        if not site:
            return array
        return jax.ops.segment_sum(array, self.senders if site == "sender" else self.receivers, self.count(site))

    def order(self, site: str) -> Order:
        """The edges by their nodes at a site, as int32; programs that take several orders of one graph compute each once."""
        owner, other = (self.senders, self.receivers) if site == "sender" else (self.receivers, self.senders)
        edges = jnp.argsort(owner, stable=True).astype(jnp.int32)
        bounds = jnp.arange(self.count(site) + 1, dtype=owner.dtype)
        return Order(jnp.searchsorted(owner[edges], bounds).astype(jnp.int32), edges, other[edges].astype(jnp.int32))


def side_by_side(senders: Array, receivers: Array, sending: int, nodes: int) -> Graph:
    """Several graphs as one, of indices (graphs, edges)."""
    copies = senders.shape[0]
    offsets = jnp.arange(copies, dtype=senders.dtype)[:, None]
    there = jnp.where(receivers < nodes, receivers + offsets * nodes, copies * nodes)
    return Graph((senders + offsets * sending).reshape(-1), there.reshape(-1), copies * sending, copies * nodes)


def graph(senders: Array, receivers: Array, sending: int, nodes: int) -> Graph:
    """A graph. As in JAX itself senders below 0 count from the end, one that is not there is the nearest, and what goes to a
    receiver that is not there is dropped."""
    for name, index in (("senders", senders), ("receivers", receivers)):
        if index.ndim != 1 or not jnp.issubdtype(index.dtype, jnp.integer):
            raise TypeError(f"{name}: integers of shape (edges,), not {index.dtype}{list(index.shape)}")
    if sending < 0 or nodes < 0:
        raise ValueError(f"{sending} nodes that send and {nodes} that receive: at least 0 of each")
    if senders.shape != receivers.shape:
        raise TypeError(f"{len(senders)} senders, but {len(receivers)} receivers: there is one of each per edge")
    senders, receivers = (index.astype(jnp.promote_types(index.dtype, jnp.int32)) for index in (senders, receivers))
    senders = jnp.where(senders < 0, senders + sending, senders)
    there = (receivers >= 0) & (receivers < nodes)
    ends = jnp.clip(senders, 0, max(0, sending - 1)), jnp.where(there, receivers, nodes)
    return Graph(ends[0].astype(jnp.int32), ends[1].astype(jnp.int32), sending, nodes)
