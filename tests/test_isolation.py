"""Isolated work: it ends when its caller is interrupted, has the caller's settings and nothing else of it, and leaves no trace."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

import tpregistry
from tpregistry import isolation
from tpregistry.isolation import isolated, kept
from tpregistry.settings import current


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a shell starts in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_the_work_before_the_caller_goes_on(interruptible: None) -> None:
    ended = []

    def work() -> None:
        try:
            for _ in range(500):
                time.sleep(0.01)
        finally:
            time.sleep(0.2)  # what puts state back takes a while
            ended.append(threading.current_thread().name)

    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        isolated(work, contextlib.nullcontext)
    assert ended == ["tpregistry"]
    assert time.perf_counter() - start < 4


def test_the_callers_settings_hold_and_no_other_context(tmp_path) -> None:
    with tpregistry.use(cache_dir=tmp_path), np.errstate(all="raise"):
        folder, errors = isolated(lambda: (current().cache_dir, np.geterr()["divide"]), contextlib.nullcontext)
    assert (folder, errors) == (tmp_path, "warn")


def draws() -> tuple[float, float]:
    return random.random(), np.random.rand()


def drawn() -> tuple[float, float]:
    with kept():
        return draws()


def test_generators_are_put_back_where_nobody_else_draws(monkeypatch) -> None:
    monkeypatch.setattr(isolation, "_alone", lambda: True)  # other tests leave threads behind
    assert isolated(drawn, contextlib.nullcontext) == draws()


def test_no_number_is_drawn_twice_beside_another_thread() -> None:
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    found = isolated(drawn, contextlib.nullcontext)
    again = draws()
    stop.set()
    other.join()
    assert not set(found) & set(again)
