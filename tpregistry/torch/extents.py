"""Before an address is taken: whether operands are as large as what will be read there, of its dtype, and on its device."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tpregistry.plan import Operand
from tpregistry.torch.graph import Graph

Tensor = torch.Tensor


def require_extents(
    tensors: Sequence[Tensor], operands: Sequence[Operand], dtype: torch.dtype, device: torch.device, graph: Graph | None = None
) -> int:
    """The number of samples of a call, or of edges; raises ValueError where a kernel would read what is not there.

    Operands of samples are (samples, size), those at the nodes of a graph (nodes, size), and those that all samples share (size,).
    """
    rows = None if graph is None else len(graph)
    for tensor, operand in zip(tensors, operands, strict=True):
        shape = tensor.shape
        if not operand.batched:
            wanted: tuple[int, ...] = (operand.size,)
        elif operand.site and graph is not None:
            wanted = graph.count(operand.site), operand.size
        else:
            rows = shape[0] if rows is None and shape else rows
            wanted = rows or 0, operand.size
        if shape != wanted or tensor.dtype is not dtype or tensor.device != device:
            found = f"{operand.name} is {tuple(shape)} {tensor.dtype} on {tensor.device}"
            raise ValueError(f"{found}, but this kernel takes {wanted} {dtype} on {device}")
    return rows or 0
