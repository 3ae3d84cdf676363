"""What a measurement depends on, of the machine."""

from __future__ import annotations

import os
import platform


def python_line() -> str:
    """3.11, say."""
    return ".".join(platform.python_version_tuple()[:2])


def cpu_model() -> str:
    """As the system calls it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def free_bytes() -> int:
    """Memory that the system calls available."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
