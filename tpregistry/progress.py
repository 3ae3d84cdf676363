"""What long work shows while it runs: a live line on a terminal, nothing elsewhere (the decision's own line follows)."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tpregistry.settings import Log, Settings


class Progress:
    """A context in which `show` says what is being done."""

    def __init__(self, title: str, settings: Settings) -> None:
        self._title = f"tpregistry: {title}"
        self._live = settings.log is not Log.OFF and sys.stderr.isatty()
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
