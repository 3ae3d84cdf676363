"""What this process has decided: each problem once, whichever module or thread asks first."""

from __future__ import annotations

import os
import threading

from tpregistry import processes
from tpregistry.decision import Decision, Decisions
from tpregistry.forking import steps
from tpregistry.frame import Host, frame
from tpregistry.problem import Problem
from tpregistry.progress import tell
from tpregistry.resolution import Resolution
from tpregistry.select import Source
from tpregistry.settings import Log, Settings

made = Decisions()
_known: dict[tuple[str, str, str, int], Decision] = {}
_lock = threading.RLock()


def resolve(problem: Problem, host: Host, framework: str, device: str, settings: Settings, batch: int | None = None) -> Decision:
    """The decision for a problem under settings; measured, checked and built at most once per process.

    It is measured on ``batch`` samples, else on as many as its bucket stands for.

    Raises UnknownBackend, Unsupported (forced backends only) and NotTuned (TP_TUNE=require only).
    """
    key = problem.digest, host.name, device, id(settings)
    with _lock:
        if key not in _known:
            with steps():
                decision = Resolution(problem, host, frame(framework), device, settings, batch or problem.batch).decide()
            _known[key] = decision
            _keep_alive.append(settings)
            made.append(decision)
            announce(decision, settings)
        return _known[key]


_keep_alive: list[Settings] = []


def announce(decision: Decision, settings: Settings) -> None:
    """One calm line per decision on stderr, from the first process of a job."""
    if settings.log is Log.DECISIONS and processes.first() and decision.source not in (Source.RULE, Source.OFF):
        tell(f"tpregistry: {decision}")


def forget() -> None:
    """Drop what this process decided; modules that are bound stay bound."""
    made.clear()
    made.left_to_host.clear()
    _known.clear()
    _keep_alive.clear()


def _in_forked_child() -> None:
    """Another thread of the parent may have held the lock; and a process counts its own calls."""
    global _lock
    _lock = threading.RLock()
    for decision in made:
        decision.calls = 0
    made.left_to_host.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
