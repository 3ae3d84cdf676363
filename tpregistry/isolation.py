"""Work that neither sees nor changes what its caller has set: in a thread of its own, with process-wide state put back."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def isolated(work: Callable[[], T], surroundings: Callable[[], AbstractContextManager[Any]]) -> T:
    """The result of ``work``, or what it raises; ``surroundings`` is entered around it, in its thread."""
    outcome: list[Any] = []

    def target() -> None:
        try:
            with restored(), surroundings():
                outcome.append((work(), None))
        except BaseException as error:  # handed to the caller's thread below
            outcome.append((None, error))

    thread = threading.Thread(target=target, name="tpregistry", daemon=True)
    thread.start()
    thread.join()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


@contextmanager
def restored() -> Iterator[None]:
    """Warning filters and the generators of NumPy and Python as they were; no warning is shown meanwhile."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
