"""Parts of a batch side by side: on torch's own OpenMP threads, else on a small pool of Python threads.

torch's threads are awake when one of its operations has just ended (2 µs against 25 to 50 µs for a Python thread), and
where they wait by spinning, any other thread would have to share their cores. The library is the one already in the process;
no second OpenMP runtime is loaded. In a forked child, where OpenMP threads are gone, and where there is no such library,
compiled code runs on plain threads, without the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import tpregistry
from tpregistry.native.compiler import Functions

Part = tuple[int, int]

LEAST_NANOSECONDS = 20_000
"""Work that is worth a thread of its own."""


def parts(batch: int, nanoseconds: float, threads: int) -> list[Part]:
    """Ranges of samples, one per thread; fewer where a sample's ``nanoseconds`` leave little to do."""
    count = max(1, min(threads, batch, int(batch * nanoseconds / LEAST_NANOSECONDS)))
    bounds = [batch * n // count for n in range(count + 1)]
    return list(pairwise(bounds))


def run(functions: Functions, calls: Sequence[tuple[int, int, int, int]]) -> None:
    """``functions.run`` with each call's arguments (operands, begin, end, scratch); returns when all are done."""
    if len(calls) == 1:
        functions.run(*calls[0])
        return
    openmp = _openmp() if os.getpid() == tpregistry.started_in else None
    if openmp is not None:
        parallel, thread_number, thread_count = openmp
        job = array("q", [thread_number, thread_count, len(calls), *(value for call in calls for value in call)])
        parallel(functions.share, job.buffer_info()[0], len(calls), 0)
        return
    others = [_executor(os.getpid(), len(calls) - 1).submit(functions.run, *call) for call in calls[1:]]
    try:
        functions.run(*calls[0])
    finally:
        for other in others:
            other.result()


@cache
def _openmp() -> tuple[Any, int, int] | None:
    """GOMP_parallel and the addresses of two functions of the OpenMP library that torch has loaded."""
    try:
        library = ctypes.CDLL(None)
        parallel = library.GOMP_parallel
        numbers = [
            ctypes.cast(function, ctypes.c_void_p).value for function in (library.omp_get_thread_num, library.omp_get_num_threads)
        ]
    except (OSError, AttributeError, TypeError):
        return None
    parallel.argtypes, parallel.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return (parallel, numbers[0], numbers[1]) if numbers[0] and numbers[1] else None


@cache
def _executor(process: int, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="tpregistry")
