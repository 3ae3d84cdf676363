"""What a kernel prints: standard output belongs to the program, whose results may go through a pipe."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tpregistry.forking import pause, undone_in_child


@contextmanager
def listening() -> Iterator[list[str]]:
    """What this thread prints meanwhile, kept off stdout; other threads print as ever.

    What native code writes to file descriptor 1 is not seen.
    """
    pause()
    stock = sys.stdout
    ear = _Ear(stock)

    def leave() -> None:
        ear.close()
        if sys.stdout is ear:
            sys.stdout = stock

    sys.stdout = ear  # type: ignore[assignment]
    try:
        with undone_in_child(leave):
            yield ear.words
    finally:
        leave()


class _Ear:
    """Standard output with an ear for one thread."""

    def __init__(self, stock: Any) -> None:
        self.words: list[str] = []
        self._stock, self._thread = stock, threading.get_ident()

    def close(self) -> None:
        """Pass on everything: who has wrapped it keeps it, and another thread may get this one's number."""
        self._thread = -1

    def write(self, text: str) -> int:
        """Keep or pass on."""
        if threading.get_ident() != self._thread:
            return self._stock.write(text)
        self.words.append(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stock, name)
