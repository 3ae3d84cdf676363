"""Errors of tpregistry; each carries what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tpregistry.backend import Reason


class TPError(RuntimeError):
    """Base of all errors that tpregistry raises on purpose."""


class SettingError(TPError, ValueError):
    """A setting of ours has a value that means nothing; the message lists the right ones."""


class UnknownBackend(SettingError):
    """TP_BACKEND names a backend that is not installed; the message lists those that are."""


class Unsupported(TPError):
    """A forced backend cannot do a problem; `reasons` holds every one of them."""

    def __init__(self, message: str, reasons: tuple[Reason, ...] = ()) -> None:
        super().__init__("\n  ".join([message, *map(str, reasons)]))
        self.reasons = reasons


class NotTuned(TPError):
    """TP_TUNE=require, and there is no record for a problem."""


class HostRaised(RuntimeError):
    """The host's own code raised while something was checked against it: that says nothing of what was checked.

    ``error`` is what it raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"the host's own code raised {type(error).__name__} while it was checked against: {error}")
        self.error = error
