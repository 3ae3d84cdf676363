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
_REAL = frozenset((torch.float32, torch.float64, torch.float16, torch.bfloat16))  # quantized numbers are of other dtypes


class NotPlain(TypeError):
    """A tensor whose numbers do not lie in memory, or not as a kernel reads them."""


def plain(tensors: Sequence[Tensor]) -> bool:
    """Whether all have memory, on one device, in which numbers lie as they are. Costs a third of a microsecond for each."""
    cpu = tensors[0].is_cpu
    try:
        for tensor in tensors:
            if type(tensor) not in TYPES or tensor.layout is not _STRIDED or tensor.dtype not in _REAL:
                return False
            if tensor.is_neg() or tensor.is_nested or not (tensor.data_ptr() or not tensor.numel()):
                return False
            if tensor.is_cpu is not cpu or not (cpu or tensor.device == tensors[0].device):
                return False
    except RuntimeError:  # no address, for which torch has several words
        return False
    return True


def all_plain(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same numbers as plain tensors, and part of the graph. Raises NotPlain for kinds that have no such form."""
    found = [_made_plain(tensor) for tensor in tensors]
    if not plain(found):
        given = ", ".join(_described(tensor) for tensor in tensors)
        raise NotPlain(f"no memory that a kernel could read: give it plain tensors, strided and dense, on one device, not {given}")
    return found


def _made_plain(tensor: Tensor) -> Tensor:
    if type(tensor) not in TYPES or tensor.layout is not _STRIDED or tensor.is_nested:
        return tensor
    return tensor.clone() if tensor._is_zerotensor() else tensor.resolve_neg()


def _described(tensor: Tensor) -> str:
    """By type, layout and dispatch keys, in which torch tells all kinds apart."""
    return f"a {type(tensor).__name__}, {tensor.layout}, {torch._C._dispatch_keys(tensor)}"
