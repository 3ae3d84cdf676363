"""Work that neither sees nor changes what its caller has set: in a thread of its own, with process-wide state put back."""

from __future__ import annotations

import ctypes
import pickle
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from tpregistry.forking import rest, steps, undone_in_child
from tpregistry.settings import override

T = TypeVar("T")
Knob = tuple[str, Callable[[], Any], Callable[[Any], Any]]
"""What a value of the process is, how it is read, and how it is put back."""

_caller: ContextVar[threading.Thread | None] = ContextVar("tpregistry_caller", default=None)
"""The thread that waits for isolated work, as this work sees it."""

BARS = ("rich", "tqdm")
"""Whose threads draw progress bars, and no numbers."""


def isolated(work: Callable[[], T], surroundings: Callable[[], AbstractContextManager[Any]]) -> T:
    """The result of ``work``, or what it raises; ``surroundings`` is entered around it, in its thread.

    Of the caller's context variables only our settings hold there: others belong to libraries (NumPy's error state).
    """
    outcome: list[Any] = []
    done = threading.Event()
    settings, caller = override.get(), threading.current_thread()

    def target() -> None:
        try:
            override.set(settings)
            _caller.set(caller)
            with steps(), _unwarned(), surroundings():
                outcome.append((work(), None))
        except BaseException as error:  # handed to the caller's thread below
            outcome.append((None, error))
        finally:
            done.set()

    with rest():
        _run(threading.Thread(target=target, name="tpregistry", daemon=True), done)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def _run(thread: threading.Thread, done: threading.Event) -> None:
    """Start it and wait. What ends the wait (Ctrl-C) ends the thread first, so that it puts nothing back later.

    The thread notices when native code that it is in returns; a second Ctrl-C does not wait for that. `join` would not do:
    once interrupted it takes the thread for ended (Python 3.11).
    """
    thread.start()
    try:
        done.wait()
    except BaseException:
        if not done.is_set():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt))
            while thread.is_alive() and not done.wait(0.1):  # the interrupt may hit its very end, before ``done``
                pass
        raise


@contextmanager
def _unwarned() -> Iterator[None]:
    """No warning is shown, and the filters are as they were afterwards."""
    before, show = warnings.filters, warnings.showwarning
    with warnings.catch_warnings():

        def leave() -> None:
            warnings.filters, warnings.showwarning = before, show  # type: ignore[assignment]
            warnings._filters_mutated()  # type: ignore[attr-defined]

        warnings.simplefilter("ignore")
        with undone_in_child(leave):
            yield


@contextmanager
def kept() -> Iterator[list[str]]:
    """What the program has set as it was before a plugin's code: torch's default dtype, threads and gradient mode, the filters of
    warnings; and random generators where nobody else is there. What had changed is in the list afterwards.

    Whose draws changed a generator cannot be told: put back beside other threads, it would give them the same numbers twice.
    """
    torch = sys.modules.get("torch")
    knobs = [_filters(), *(_defaults(torch) if torch else ()), *(_generators(torch) if _alone() else ())]
    before = [(name, read, put, read()) for name, read, put in knobs]
    changed: list[str] = []
    try:
        yield changed
    finally:
        for name, read, put, value in before:
            if _differ(read(), value):
                put(value)
                changed.append(name)


def _differ(one: Any, other: Any) -> bool:
    """Arrays inside are compared by their bytes; what cannot be pickled, such as a filter for a local class, by itself."""
    try:
        return pickle.dumps(one) != pickle.dumps(other)
    except Exception:
        return one != other


def _alone() -> bool:
    """Whether no other thread of the program could draw numbers now: the caller's waits."""
    waiting = {threading.current_thread(), _caller.get()}
    return all(one in waiting or type(one).__module__.partition(".")[0] in BARS for one in threading.enumerate())


def _defaults(torch: Any) -> list[Knob]:
    return [
        ("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        ("torch's threads", torch.get_num_threads, torch.set_num_threads),
        ("gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
    ]


def _filters() -> Knob:
    def put(kept: list[Any]) -> None:
        warnings.filters[:] = kept  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]

    return "filters of warnings", lambda: list(warnings.filters), put


def _generators(torch: Any) -> list[Knob]:
    """Those of libraries that are loaded; nothing is imported for it."""
    numpy = sys.modules.get("numpy")
    knobs: list[Knob] = [("Python's random generator", random.getstate, random.setstate)]
    if numpy:
        knobs.append(("NumPy's random generator", lambda: numpy.random.get_state(legacy=False), numpy.random.set_state))
    if torch:
        put = lambda state: torch.set_rng_state(torch.from_numpy(state))  # noqa: E731
        knobs.append(("torch's random generator", lambda: torch.get_rng_state().numpy(), put))
        knobs += _generators_of_gpus(torch)
    return knobs


def _generators_of_gpus(torch: Any) -> list[Knob]:
    """None while a graph is captured: they cannot be read then."""
    if not torch.cuda.is_initialized() or torch.cuda.is_current_stream_capturing():
        return []

    def put(states: list[Any]) -> None:
        torch.cuda.set_rng_state_all([torch.from_numpy(state) for state in states])

    return [("random generators of GPUs", lambda: [state.numpy() for state in torch.cuda.get_rng_state_all()], put)]
