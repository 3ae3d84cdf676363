"""When to ask the system for huge pages."""

import mmap

LARGE_BYTES = 2**22
"""The C library returns blocks of this size to the system when they are freed, so each large result is made of new pages, and
the faults of small ones cost several times what a kernel does (36 MB: 8.4 ms against 2.4 ms with huge pages)."""

HUGE_PAGES: int | None = getattr(mmap, "MADV_HUGEPAGE", None)
"""The advice to give, where there are huge pages to ask for."""
