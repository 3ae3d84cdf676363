"""The same numbers in other places: tensors as views, between numbers that nobody may read."""

from __future__ import annotations

import torch

from tpregistry.layout import Layout

Tensor = torch.Tensor

APART = 3
"""Numbers between rows of a wider array."""


def laid(tensor: Tensor, layout: Layout) -> Tensor:
    """A tensor of these numbers, (rows, columns) or (columns,), that lies so in memory that is NaN elsewhere."""
    if layout is Layout.DENSE:
        return tensor
    return _VIEWS[layout](tensor)


def _strided(tensor: Tensor) -> Tensor:
    return torch.stack([tensor, torch.full_like(tensor, float("nan"))], dim=-1)[..., 0]


def _sliced(tensor: Tensor) -> Tensor:
    wide = tensor.new_full((*tensor.shape[:-1], tensor.shape[-1] + APART), float("nan"))
    return wide[..., 1 : 1 + tensor.shape[-1]].copy_(tensor)


def _offset(tensor: Tensor) -> Tensor:
    """Twice as long, so that what is read from the start is all there."""
    return torch.cat([torch.full_like(tensor, float("nan")), tensor])[len(tensor) :]


def _expanded(tensor: Tensor) -> Tensor:
    """The first row for all, where there are several: memory goes on as if they all were there."""
    if tensor.dim() == 1 or not len(tensor):
        return tensor
    rows = torch.full_like(tensor, float("nan"))
    rows[0] = tensor[0]
    return rows[:1].expand(tensor.shape)


_VIEWS = {Layout.STRIDED: _strided, Layout.SLICED: _sliced, Layout.OFFSET: _offset, Layout.EXPANDED: _expanded}
