"""Forks beside tuning: what a child inherits of another thread's work is neither a lock that nobody opens nor a changed setting.

A lock that some thread holds at a fork is held for ever in the child: ours could be renewed, but not those of imports, of compilers
and of libraries in C. So a fork waits until the work of other threads is between two steps, where none is held. Not for long: a
fork inside of what such a step waits for goes on after a while, as it would without us.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 10.0
"""Seconds that a fork waits for a step to end."""

_turn = threading.Condition()
_stepping: set[int] = set()
_forks = 0
_undo: list[tuple[int, Callable[[], None]]] = []


@contextmanager
def steps() -> Iterator[None]:
    """Work of this thread that a fork of another must not catch in the middle, but at a `rest` or a `pause`."""
    me = threading.get_ident()
    if me in _stepping:
        yield
        return
    with _turn:
        _stepping.add(me)
    try:
        yield
    finally:
        _leave(me)


@contextmanager
def rest() -> Iterator[None]:
    """While this thread only waits for another that works in steps."""
    me = threading.get_ident()
    if me not in _stepping:
        yield
        return
    _leave(me)
    try:
        yield
    finally:
        with _turn:
            _stepping.add(me)


def pause() -> None:
    """Between two steps: forks of other threads happen here."""
    if _forks and threading.get_ident() in _stepping:
        with rest():
            time.sleep(0)


@contextmanager
def undone_in_child(undo: Callable[[], None]) -> Iterator[None]:
    """A child that another thread forks meanwhile starts with ``undo``; here what was changed is put back by who changed it."""
    entry = threading.get_ident(), undo
    _undo.append(entry)
    try:
        yield
    finally:
        _undo.remove(entry)


def _leave(me: int) -> None:
    with _turn:
        _stepping.discard(me)
        _turn.notify_all()


def _before() -> None:
    """Wait, and keep everybody from the next step until the fork is done."""
    global _forks
    _turn.acquire()
    _forks += 1
    until = time.monotonic() + PATIENCE
    while _stepping - {threading.get_ident()} and _turn.wait(until - time.monotonic()):
        pass
    _forks -= 1


def _in_parent() -> None:
    _turn.release()


def _in_child() -> None:
    global _turn
    me = threading.get_ident()
    _turn = threading.Condition()
    _stepping.intersection_update({me})
    for thread, undo in reversed(_undo):
        if thread != me:
            undo()
    _undo[:] = [entry for entry in _undo if entry[0] == me]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
