"""A convolution in the middle of a host's method: fused where that skips nothing but what the host itself computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tpregistry import session
from tpregistry.errors import Unsupported
from tpregistry.hosts import adapter_for
from tpregistry.problem import bucket
from tpregistry.torch.binding import Hook
from tpregistry.torch.graph import Graph, graph
from tpregistry.torch.ground import Ground, Unreadable
from tpregistry.torch.guard import left_to_host

Tensor = torch.Tensor
Product = Any

SUMMED = (torch.float32, torch.float64)
"""Dtypes in which hosts and kernels sum alike; 16-bit messages some hosts sum in float32."""
EMPTY, STRANGE = "empty batch", "a graph that kernels do not take"


class Fusing:
    """How the convolutions of a site are bound."""

    def __init__(self) -> None:
        self._hooks: dict[type, Convolving | None] = {}

    def skips_more(self, product: Product) -> str | None:
        """Why a call of this product would do more than its hook knows of, or None. In the path of each call."""
        kind = type(product)
        if kind not in self._hooks:
            self._hooks[kind] = _hook(product)
        hook = self._hooks[kind]
        return f"a {kind.__name__} for a product" if hook is None else hook.of.more(product)

    def convolve(
        self,
        product: Product,
        own: Callable[[], Tensor],
        x: Tensor,
        y: Tensor,
        w: Tensor,
        senders: Tensor,
        receivers: Tensor,
        nodes: int,
    ) -> Tensor:
        """``out[r] = sum over edges s -> r of product(x[s], y[edge], w[edge])`` for a product that skips nothing more.

        x (senders, irreps_in1.dim), y (edges, irreps_in2.dim), w (edges, weight_numel), senders and receivers (edges,) ->
        (nodes, irreps_out.dim). ``own`` is the host's code for the same: it runs for all that a kernel does not do as the host.
        """
        hook = self._hooks[type(product)]
        assert hook is not None, "skips_more"
        if left_to_host(x, y, w) is not None:
            return own()  # where the product counts it
        reason = _unlike(x, y, w, senders, receivers, *hook.of.widths(product))
        if reason is not None:
            if reason != EMPTY:
                session.made.left_to_host[f"convolution: {reason}"] += 1
            return own()
        made = partial(_graph, senders, receivers, len(x), nodes)
        return hook.run(product, hook.of.bindings(product), len(senders), bucket(nodes), own, x, y, w, made)


class Convolving(Hook):
    """The hook of a product, where a forced backend need not do convolutions: the product between comes next."""

    def __init__(self, of: Hook) -> None:
        self.of = of
        self.ground, self.describe, self.host, self.own = of.ground, of.describe, of.host, of.own

    def _bind(self, module: Any, ground: Ground, key: Any, x: Tensor, y: Tensor, w: Tensor) -> Any:
        try:
            return super()._bind(module, ground, key, x, y, w)
        except Unsupported:
            raise Unreadable("a convolution that the backend asked for does not do") from None


def _hook(product: Product) -> Convolving | None:
    try:
        return Convolving(adapter_for("torch").hook(product))
    except TypeError:
        return None


def _unlike(x: Tensor, y: Tensor, w: Tensor, senders: Tensor, receivers: Tensor, in1: int, in2: int, numel: int) -> str | None:
    """Why these are not operands of a convolution, so that the host computes or raises what it does."""
    if type(senders) is not torch.Tensor or type(receivers) is not torch.Tensor:
        return STRANGE
    edges = senders.shape
    if not (senders.dtype == receivers.dtype == torch.int64 and len(edges) == 1 and edges == receivers.shape and edges[0]):
        return EMPTY if edges == receivers.shape == (0,) else STRANGE  # hosts differ in whether they take 32 bits
    if not (x.dtype == y.dtype == w.dtype):
        return "operands of different dtypes"
    if x.dtype not in SUMMED:
        return "sums of 16 bits"
    if not (x.device == senders.device == receivers.device):
        return "operands on different devices"
    fits = x.dim() == 2 and x.shape[1] == in1 and y.shape == (edges[0], in2) and w.shape == (edges[0], numel) and numel
    return None if fits else "operands of other shapes"


def _graph(senders: Tensor, receivers: Tensor, sending: int, nodes: int) -> Graph:
    """Indices from the end, say, hosts take; and a stream that is captured must not be waited for."""
    try:
        return graph(senders, receivers, sending, nodes)
    except (ValueError, IndexError, RuntimeError) as error:
        raise Unreadable(f"convolution: {STRANGE}") from error
