"""How much is tried: `make fast`, `make test` and `make test-all` run the same tests, in numbers of their own.

Two things set a tier. Markers (see pyproject.toml) choose tests; `exhaustive` ones run in `make test-all` alone. And the hypothesis
profile of the run, ``--hypothesis-profile``, says how many problems are drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

SHARES = {"fast": 0.02, "test": 0.2, "all": 1.0}
"""Of the draws that `make test-all` makes. The draws are the same in every run, and the first of them in the smaller tiers."""

exhaustive = pytest.mark.exhaustive

for _name in SHARES:
    settings.register_profile(_name, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def tier() -> str:
    """The tier of this run; tests that are started by hand are those of `make test`."""
    name = settings.get_current_profile_name()
    return name if name in SHARES else "test"


def draws(whole: int) -> int:
    """How many of so many draws this run makes; at least three."""
    return max(3, ceil(whole * SHARES[tier()]))


def drawn(whole: int, **strategies: SearchStrategy[Any]) -> Callable[..., Any]:
    """Like hypothesis' `given`, with so many draws in `make test-all`, and the share of the tier elsewhere."""
    tried = settings(max_examples=draws(whole), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    return lambda test: tried(given(**strategies)(test))


def first(items: Iterable[Any], kept: Callable[[Any], bool]) -> list[Any]:
    """Parameters of a test: those that are kept for every run, the others for `make test-all`."""
    return [item if kept(item) else _exhaustive(item) for item in items]


def mark_exhaustive(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that exhaustive.txt names."""
    lines = (Path(__file__).parent / "exhaustive.txt").read_text().splitlines()
    patterns = [(not line.startswith("!"), _pattern(line.removeprefix("!"))) for line in lines if line and not line.startswith("#")]
    for item in items:
        matches = [named for named, pattern in patterns if pattern.fullmatch(item.nodeid)]
        if matches and matches[-1]:
            item.add_marker(exhaustive)


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(re.escape(line).replace(r"\*", ".*"))


def _exhaustive(item: Any) -> Any:
    return pytest.param(*item, marks=exhaustive) if isinstance(item, tuple) else pytest.param(item, marks=exhaustive)
