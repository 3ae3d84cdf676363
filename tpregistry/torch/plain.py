"""The gate-keeper before addresses: compiled code gets plain tensors, whose numbers lie where address and strides say.

torch has many other kinds, and their types do not always tell: zeros without memory (where a derivative vanishes), numbers that lie
in memory with the other sign, sparse and nested ones, wrappers of compilers and transforms. To read the address of one ends the
process, or gives other numbers. What goes through torch's own functions needs no gate: torch's dispatcher is one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

Tensor = torch.Tensor

TYPES = frozenset((torch.Tensor, torch.nn.Parameter))
_STRIDED = torch.strided


def plain(tensors: Sequence[Tensor]) -> bool:
    """Whether all have memory of their own in which numbers lie as they are. Costs a quarter of a microsecond for each."""
    for tensor in tensors:
        if type(tensor) not in TYPES or tensor.layout is not _STRIDED or tensor.is_neg() or tensor.is_nested:
            return False
        if not _address(tensor) and tensor.numel():
            return False
    return True


def as_plain(tensor: Tensor) -> Tensor:
    """The same numbers as a plain tensor, and part of the graph. Raises TypeError for a kind that has no such form."""
    if plain((tensor,)):
        return tensor
    found = tensor
    if type(tensor) in TYPES and tensor.layout is _STRIDED and not tensor.is_nested:
        found = tensor.resolve_neg().clone() if tensor._is_zerotensor() else tensor.resolve_neg()
    if not plain((found,)):
        raise TypeError(f"{described(tensor)} has no memory that a kernel could read: give it a plain tensor, strided and dense")
    return found


def described(tensor: Tensor) -> str:
    """A tensor in an error's words, by its type, layout and dispatch keys."""
    keys = torch._C._dispatch_keys(tensor)
    return f"a {type(tensor).__name__} of layout {tensor.layout} and keys {keys}"


def _address(tensor: Tensor) -> int:
    """0 where there is none, for which torch has several errors."""
    try:
        return tensor.data_ptr()
    except RuntimeError:
        return 0
