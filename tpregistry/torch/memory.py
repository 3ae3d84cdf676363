"""Memory for results and scratch."""

from __future__ import annotations

import ctypes
import mmap
import threading
from functools import cache
from typing import Any

import torch

from tpregistry.native.pages import HUGE_PAGES, LARGE_BYTES

_own = threading.local()


def empty(rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
    """Fresh memory; the system is asked for huge pages where it is large."""
    tensor = torch.empty((rows, columns), dtype=dtype, device="cpu")  # whatever the default device
    if tensor.nbytes >= LARGE_BYTES and _advise() is not None:
        page = mmap.PAGESIZE
        start = -(-tensor.data_ptr() // page) * page
        _advise()(start, (tensor.data_ptr() + tensor.nbytes - start) // page * page, HUGE_PAGES)
    return tensor


@cache
def _advise() -> Any:
    """madvise, where there are huge pages to ask for."""
    if HUGE_PAGES is None:
        return None
    function = ctypes.CDLL(None).madvise
    function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int], ctypes.c_int
    return function


def scratch(size: int) -> int:
    """The address of this thread's scratch memory, at least ``size`` bytes."""
    if getattr(_own, "size", -1) < size:
        _own.tensor, _own.size = torch.empty(size, dtype=torch.uint8, device="cpu"), size
    return _own.tensor.data_ptr()
