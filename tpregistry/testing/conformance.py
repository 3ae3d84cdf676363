"""What a backend is worth: its outcome on each problem of the zoo. What `tpregistry verify` and the pytest plugin run."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpregistry.backend import Backend
from tpregistry.definition import definition
from tpregistry.errors import Unsupported
from tpregistry.frame import Frame, Host
from tpregistry.problem import OWN_OPERATIONS, Problem
from tpregistry.store import Outcome as State
from tpregistry.testing.random_problem import random_problem
from tpregistry.testing.signals import signals
from tpregistry.testing.zoo import BATCH, zoo
from tpregistry.tune import Bench, Contestant, check_alone
from tpregistry.verdicts import verdict_of


@dataclass(frozen=True)
class Outcome:
    """What became of a backend on one problem: ok, wrong, unsupported or raised, with all reasons.

    ``worst`` is the largest error of all checks in units of what is allowed, ``check`` the one that it was seen in; both
    are missing where nothing could be compared.
    """

    state: State
    reasons: tuple[str, ...] = ()
    worst: float | None = None
    check: str = ""
    seconds: float = 0.0

    @property
    def fault(self) -> bool:
        """Whether the backend is to blame: it said yes, and then was wrong or raised, or raised when it was asked."""
        return self.state in (State.WRONG, State.RAISED)


def examine(backend: Backend, problem: Problem, host: Host, frame: Frame, device: str) -> Outcome:
    """The verdict of a backend on a problem, and the gate where it says yes; whatever the backend raises is an outcome."""
    start = time.perf_counter()
    verdict = verdict_of(backend, problem, frame.name, device, host.name)
    if not verdict.ok:
        raised = any(reason.code == "TP181" for reason in verdict.reasons)
        return Outcome(State.RAISED if raised else State.UNSUPPORTED, tuple(map(str, verdict.reasons)))
    bench = Bench(problem, host, frame, device, math.inf, problem.batch)
    _, entry = check_alone(bench, Contestant(backend.face.name, backend, {}), None)
    check, worst = entry.worst or ("", None)
    return Outcome(entry.outcome, entry.reasons, worst, check, time.perf_counter() - start)


def problems(dtypes: Sequence[str] = ("float32", "float64"), only: str = "", further: int = 0, seed: int = 0) -> dict[str, Problem]:
    """The zoo in each dtype, and as many ``further`` random problems, by name; those whose name holds ``only``."""
    found = {f"{name}, {dtype}": problem for dtype in dtypes for name, problem in _all(dtype, further, seed).items()}
    return {name: problem for name, problem in found.items() if only in name}


def _all(dtype: str, further: int, seed: int) -> dict[str, Problem]:
    generator = np.random.default_rng(seed)
    drawn = {f"random {number} of seed {seed}": random_problem(generator, dtype).at(batch=BATCH) for number in range(further)}
    return zoo(dtype) | signals(dtype) | drawn


def tour(
    backend: Backend, chosen: Mapping[str, Problem], adapter: Any, frame: Frame, device: str
) -> Iterator[tuple[str, Problem, Outcome]]:
    """The outcome of a backend on each problem, against the code of an adapter's host; where that has none, unsupported."""
    for name, problem in chosen.items():
        try:
            own = problem.operation in OWN_OPERATIONS
            host = definition(problem, device, frame.name) if own else adapter.host(problem, device)
        except Unsupported as error:
            yield name, problem, Outcome(State.UNSUPPORTED, tuple(map(str, error.reasons)))
            continue
        yield name, problem, examine(backend, problem, host, frame, device)
