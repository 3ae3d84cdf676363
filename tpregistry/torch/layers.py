"""Layers of operations that hosts do not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tpregistry.hosts import adapter_for
from tpregistry.torch.binding import Bindings
from tpregistry.torch.convolution import unfused
from tpregistry.torch.graph import Graph, graph

Tensor = torch.Tensor


class TensorProductConv(torch.nn.Module):
    """``out[r] = sum over edges s -> r of tp(x[s], y[edge], weight[edge])``: the messages of all edges never exist in memory.

    Made around an e3nn ``TensorProduct``, whose parameters, buffers and keys of state_dict are its own: a checkpoint of either
    is one of the other. The backend is chosen, checked and measured like that of any product, for this number of edges and
    nodes; e3nn between torch's `index_select` and `index_add` always competes.
    """

    tp: torch.nn.Module

    def __init__(self, tp: torch.nn.Module) -> None:
        """``tp``: the product. Raises TypeError where it is not a host's."""
        super().__init__()
        self._hook, self._bindings = adapter_for("torch").hook(tp), Bindings()
        self.__dict__["tp"] = tp  # no submodule: its parameters are ours, by the same names
        self._parameters, self._buffers, self._modules = tp._parameters, tp._buffers, tp._modules

    def forward(
        self,
        x: Tensor,
        y: Tensor,
        weight: Tensor | None,
        senders: Tensor | Graph,
        receivers: Tensor | None = None,
        nodes: int | None = None,
    ) -> Tensor:
        """x (senders, irreps_in1.dim), y (edges, irreps_in2.dim), weight (edges, weight_numel), or (weight_numel,) or None as
        the product takes it; senders and receivers (edges,), int32 or int64, in any order -> (nodes, irreps_out.dim).

        ``nodes`` receive: by default as many as x has rows. In place of senders, receivers and nodes there may be a `Graph`, which
        is then neither looked at nor compared again: on a GPU that saves waiting for the device. Raises ValueError and IndexError
        for what does not fit together.
        """
        w = self._hook.weights(self.tp, weight)
        if torch.compiler.is_compiling():
            return self._stock(x, y, w, senders, receivers, nodes)
        edges = (
            senders
            if isinstance(senders, Graph)
            else graph(senders, _needed(receivers), len(x), len(x) if nodes is None else nodes)
        )
        if edges.senders.device != x.device:
            raise ValueError(f"the graph is on {edges.senders.device}, but x is on {x.device}: make one there")
        if edges.sending != len(x):
            raise ValueError(f"the graph has {edges.sending} senders, but x has {len(x)} rows")
        if not len(y) == len(edges) or (w.dim() > 1 and len(w) != len(edges)):
            raise ValueError(f"{len(edges)} edges, but y has {len(y)} rows and the weights {tuple(w.shape)}: one row per edge")

        return self._hook.convolve(self.tp, self._bindings, lambda: self._stock(x, y, w, edges), x, y, w, edges)

    def _stock(
        self, x: Tensor, y: Tensor, w: Tensor, senders: Tensor | Graph, receivers: Tensor | None = None, nodes: int | None = None
    ) -> Tensor:
        """Gather, the host's own code, sum."""
        if isinstance(senders, Graph):
            senders, receivers, nodes = senders.senders, senders.receivers, senders.nodes
        return unfused(self._hook.own(self.tp), x, y, w, senders, _needed(receivers), len(x) if nodes is None else nodes)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        self.tp._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {"tp": self.tp, "training": self.training}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["tp"])
        self.training = state["training"]

    def _replicate_for_data_parallel(self) -> Any:
        raise NotImplementedError("TensorProductConv in DataParallel: use DistributedDataParallel, one process per device")

    def extra_repr(self) -> str:
        """The product."""
        return str(self.tp)


def _needed(receivers: Tensor | None) -> Tensor:
    if receivers is None:
        raise ValueError("senders without receivers: give both, or a Graph")
    return receivers
