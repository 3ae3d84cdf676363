"""Convolutions that are not fused: gather, product, sum into receivers, each an operation of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tpregistry.backend import Kernel
from tpregistry.torch.differentiable import differentiable
from tpregistry.torch.graph import Graph

Tensor = torch.Tensor


class Unfused:
    """The convolution that a kernel of the product makes between torch's gather and sum: what programs write themselves.

    Messages, E x dim_out numbers, exist in memory, and are kept for the backward.
    """

    def __init__(self, product: Kernel) -> None:
        self.engine, self._product = f"gather + {product.engine} + sum", differentiable(product)

    def __call__(self, x: Tensor, y: Tensor, w: Tensor, *, graph: Graph) -> Tensor:
        """x (senders, dim_in1), y (edges, dim_in2), w (edges, weight_numel) or (weight_numel,) -> out (receivers, dim_out)."""
        return convolution(self._product, x, y, w, graph=graph)


def convolution(product: Callable[..., Tensor], x: Tensor, y: Tensor, w: Tensor, *, graph: Graph) -> Tensor:
    """Gather, product, sum, over a graph."""
    return unfused(product, x, y, w, graph.senders, graph.receivers, graph.nodes)


def unfused(
    product: Callable[..., Tensor], x: Tensor, y: Tensor, w: Tensor, senders: Tensor, receivers: Tensor, nodes: int
) -> Tensor:
    """Gather, product, sum."""
    messages = product(x.index_select(0, senders), y, w)
    return messages.new_zeros((nodes, messages.shape[1])).index_add(0, receivers, messages)
