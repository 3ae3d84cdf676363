"""Training on forces in two processes (DistributedDataParallel, gloo): nothing is measured, records are used."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.life.conftest import PROGRAMS, Ended, ended, launch

pytestmark = pytest.mark.processes

RANKS = PROGRAMS / "ranks.py"


def torchrun(folder: Path, size: int = 2, **variables: str) -> Ended:
    """The processes that `torchrun --nproc-per-node SIZE` starts, with its variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        job = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    ranks = [launch(folder, (RANKS,), RANK=str(rank), LOCAL_RANK=str(rank), **job, **variables) for rank in range(size)]
    return ended(folder, *ranks)


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return torchrun(tmp_path_factory.mktemp("stock")).numbers


def sources(done: Ended) -> set[str]:
    return {decision["source"] for decision in done.decisions}


def test_auto_without_records_measures_nothing(tmp_path: Path, stock: list[float]) -> None:
    done = torchrun(tmp_path, TP_BACKEND="auto")
    assert done.numbers == stock
    assert (sources(done), set(done.calls)) == ({"heuristic"}, {"e3nn"})
    assert all("of several processes none measures" in decision["why"] for decision in done.decisions)
    assert not list((tmp_path / "store").rglob("*.json"))


@pytest.mark.parametrize("backend", ["cg-llvm", "cg-hoist"])
def test_a_forced_backend_gives_the_same_gradients(backend: str, tmp_path: Path, stock: list[float]) -> None:
    done = torchrun(tmp_path, TP_BACKEND=backend)
    assert done.numbers == pytest.approx(stock, rel=1e-4, abs=1e-6)
    assert done.calls == {backend: 2 * 2 * 3}, "two convolutions, two ranks, three steps"
    assert done.err.count(f"-> {backend}") == len(done.decisions) / 2, "the first rank alone says what it does"


def test_records_of_one_process_are_used(tmp_path: Path, stock: list[float]) -> None:
    alone = torchrun(tmp_path, size=1, TP_BACKEND="auto", TP_BUDGET="2")
    assert sources(alone) == {"tuned"}
    done = torchrun(tmp_path, TP_BACKEND="auto")
    assert done.numbers == pytest.approx(stock, rel=1e-4, abs=1e-6)
    assert sources(done) == {"record"}
    tuned = {decision["digest"]: decision["backend"] for decision in alone.decisions}
    assert {decision["digest"]: decision["backend"] for decision in done.decisions} == tuned
