"""Processes that a program starts inherit TP_BACKEND: spawned, forked, and other programs."""

from __future__ import annotations

import pytest

from tests.life.conftest import PROGRAMS, Run

pytestmark = pytest.mark.processes

CHILDREN = PROGRAMS / "children.py"
WORKERS = PROGRAMS / "workers.py"


def test_pools_and_subprocesses(run: Run, stock: Run) -> None:
    done = run(CHILDREN, TP_BACKEND="cg-llvm")
    losses = stock(PROGRAMS / "train.py")
    for found, expected in zip(done.numbers, (losses[:1], losses[:2], losses), strict=True):
        assert found == pytest.approx(expected, rel=1e-5)
    assert done.calls == {"cg-llvm": 2 * (1 + 2 + 3)}, "two convolutions a step, in three processes"


@pytest.mark.parametrize(
    ("backend", "start", "parent"), [("cg-llvm", "fork", "first"), ("cg-hoist", "fork", "later"), ("cg-llvm", "spawn", "later")]
)
def test_workers_of_a_data_loader(backend: str, start: str, parent: str, run: Run, stock: Run) -> None:
    done = run(WORKERS, start, parent, TP_BACKEND=backend)
    assert done.numbers == pytest.approx(stock(WORKERS, "fork", "first"), rel=1e-5)
    assert len(done.reports) == 3, "the parent and two workers"
    assert done.calls == {backend: 2 * (1 + 6)}, "two convolutions a configuration"


def test_workers_measure_nothing(run: Run, stock: Run) -> None:
    """Several at once would disturb each other, and each would find something else."""
    done = run(WORKERS, "fork", "later", TP_BACKEND="auto", TP_BUDGET="2")
    assert done.numbers == pytest.approx(stock(WORKERS, "fork", "first"), rel=1e-5)
    sources = [decision["source"] for decision in done.decisions]
    assert set(sources) == {"heuristic", "tuned"}
    assert sources.count("tuned") == 2, "the parent's two convolutions"
