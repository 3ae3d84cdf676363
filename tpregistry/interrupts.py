"""Whether an exception is the program's own: signal handlers run within whatever is running, also within a kernel."""

from __future__ import annotations

import signal
import traceback
from functools import partial
from types import CodeType
from typing import Any


def from_signal_handler(error: BaseException) -> bool:
    """Whether a handler of this program raised it, as those do that end a program by `sys.exit`, or a call after some time."""
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    return bool(handlers) and any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def _code(handler: Any) -> CodeType | None:
    """That of a function, a method, a partial one, or an object that is called."""
    while isinstance(handler, partial):
        handler = handler.func
    function = handler if hasattr(handler, "__code__") else getattr(handler, "__func__", type(handler).__call__)
    return getattr(function, "__code__", None)
