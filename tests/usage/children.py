"""Sequences in child processes, so that one that crashes or hangs is known by its seed and step, and the others go on."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.usage.sequences import Sequence
from tests.usage.twins import Failure

BATCH = 40
"""Sequences of one process."""
PATIENCE_S = 300.0
"""A step that takes longer hangs."""

_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Surroundings:
    """What a child is told: TP_BACKEND, and the folder of records that children share."""

    backend: str
    records: str
    budget: str = "2"

    def enter(self) -> None:
        """As a program is started."""
        os.environ |= {"TP_BACKEND": self.backend, "TP_CACHE_DIR": self.records, "TP_BUDGET": self.budget, "TP_LOG": "off"}


def failures(sequences: Iterable[Sequence], around: Surroundings) -> Iterator[tuple[Sequence, Failure | None]]:
    """Each sequence with how it failed, or None."""
    left = list(sequences)
    while left:
        batch = left[:BATCH]
        for sequence, failure in _batch(batch, around):
            left.remove(sequence)
            yield sequence, failure


def _batch(batch: list[Sequence], around: Surroundings) -> Iterator[tuple[Sequence, Failure | None]]:
    """Until one ends the process; the rest is for another."""
    read, write = _fork.Pipe(duplex=False)
    child = _fork.Process(target=_work, args=(batch, around, write), daemon=True)
    child.start()
    write.close()
    current, place = 0, 0
    try:
        while current < len(batch):
            word, value = _next(read)
            if word == "at":
                place = value
            elif word == "done":
                yield batch[current], value
                current, place = current + 1, 0
            else:
                child.kill() if word == "hangs" else child.join()
                child.join()
                yield batch[current], _end(batch[current], place, word, child.exitcode)
                return
    finally:
        child.kill()
        child.join()


def _next(read: Any) -> tuple[str, Any]:
    try:
        return read.recv() if read.poll(PATIENCE_S) else ("hangs", None)
    except EOFError:
        return "ended", None


def _end(sequence: Sequence, place: int, word: str, code: int | None) -> Failure:
    said = "hangs" if word == "hangs" else f"the process ended with {code}"
    return Failure(place, sequence.steps[place][0], f"{sequence.steps[place][0]}, {said}", said)


def _work(batch: list[Sequence], around: Surroundings, write: Any) -> None:
    around.enter()
    warnings.simplefilter("ignore")
    faulthandler.disable()
    sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115  of the child, to its end
    for sequence in batch:
        write.send(("done", _compared(sequence, write)))
    os._exit(0)


def _compared(sequence: Sequence, write: Any) -> Failure | None:
    try:
        return sequence.compare(lambda place: write.send(("at", place)))
    except BaseException as error:  # of the machine itself, or one that a step let through
        last = traceback.format_exc(limit=-3)
        return Failure(0, sequence.steps[0][0], f"the machine: {type(error).__name__}", last)
