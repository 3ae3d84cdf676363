"""Signals of programs that tests start."""

import signal


def heeding_interrupts() -> None:
    """In the child: a run of the tests in the background ignores SIGINT, and its children would do so too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
