"""Decisions: what was chosen for a problem, and all that a process has chosen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tpregistry.backend import Kernel
from tpregistry.problem import Problem
from tpregistry.select import Candidate
from tpregistry.store import Record


@dataclass(eq=False, repr=False)
class Decision:
    """What was chosen for a problem, why, and how often it ran.

    ``ratio`` is how many times faster than the host the backend was when measured, None where it was not.
    """

    problem: Problem = field(repr=False)
    backend: str
    engine: str
    source: str
    why: str
    ratio: float | None = None
    calls: int = 0
    kernel: Kernel | None = field(default=None, repr=False)
    candidates: tuple[Candidate, ...] = field(default=(), repr=False)
    record: Record | None = field(default=None, repr=False)

    def __str__(self) -> str:
        faster = f" {self.ratio:.2f}x" if self.ratio and self.kernel else ""
        return f"{self.problem} -> {self.backend}{faster} [{self.source}]" + (f" ({self.why})" if self.why else "")

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """What a report holds of it."""
        plain = {name: getattr(self, name) for name in ("backend", "engine", "source", "why", "ratio", "calls")}
        return plain | {"problem": str(self.problem), "digest": self.problem.digest, "derivatives": self.problem.derivatives}


class Decisions(list[Decision]):
    """The decisions of this process; ``left_to_host``: how many calls each rule left to the host's own code; ``out_of_reach``:
    what a program took from a host before it was patched, which stays stock whenever it is called.
    """

    left_to_host: Counter[str]
    out_of_reach: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.left_to_host, self.out_of_reach = Counter(), []

    def to_json(self) -> dict[str, Any]:
        """A JSON object of schema tpregistry.decisions/1."""
        decided = [decision.to_json() for decision in self]
        stock = {"left_to_host": dict(self.left_to_host), "out_of_reach": self.out_of_reach}
        return {"schema": "tpregistry.decisions/1", "decisions": decided, **stock}
