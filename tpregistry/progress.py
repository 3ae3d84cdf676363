"""What is said on stderr: lines, and while long work runs a live one on a terminal (the decision's own line follows)."""

from __future__ import annotations

import contextlib
import sys
from types import TracebackType
from typing import Any

from tpregistry.settings import Log, Settings


def tell(text: str) -> None:
    """A line on stderr. A program whose stderr is closed, full or a pipe without a reader runs as it does with one."""
    if sys.stderr is not None:  # print would take stdout instead
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


def on_a_terminal() -> bool:
    """Whether somebody watches stderr."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False


class Progress:
    """A context in which `show` says what is being done."""

    def __init__(self, title: str, settings: Settings) -> None:
        self._title = f"tpregistry: {title}"
        self._live = settings.log is not Log.OFF and on_a_terminal()
        self._status: Any = None

    def __enter__(self) -> Progress:
        if self._live:
            from rich.console import Console  # 11 ms: only on a terminal

            self._status = Console(stderr=True).status(self._title)
            self._status.start()
        return self

    def show(self, message: str) -> None:
        """Say what is being done now."""
        if self._status is not None:
            from rich.text import Text

            line = f"{self._title}: {message}"
            self._status.update(Text(line, no_wrap=True, overflow="ellipsis"))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._status is not None:
            self._status.stop()
