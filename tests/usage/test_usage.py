"""Programs that do anything in any order: what they see on a backend is what they see on stock e3nn. See `fuzz`."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest

from tests.usage.sequences import Sequence, sequence
from tests.usage.steps import STEPS
from tests.usage.twins import compare

SHARES = {
    "auto": 700,
    "cg-llvm": 400,
    "cg-hoist": 200,
    "cg-dense": 200,
    "cuequivariance": 100,
    "gtp-grid": 100,
    "gtp-fourier": 100,
    "e3nn": 100,
    "cg-triton": 100,
}
"""Sequences of the long run: 2,000, of which twenty are compiled by Inductor."""
FIRST = dict(zip(SHARES, accumulate(SHARES.values(), initial=0), strict=False))


def run(tmp_path: Path, *words: str, **variables: str) -> None:
    command = [sys.executable, "-m", "tests.usage.fuzz", "--records", str(tmp_path), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.processes
def test_a_share_of_what_programs_do(tmp_path: Path) -> None:
    run(tmp_path, "--backend", "all", "--sequences", "64", "--seed", "1000000", "--quick")


@pytest.mark.exhaustive
@pytest.mark.parametrize("backend", ["auto", "cg-llvm"])
def test_every_step(tmp_path: Path, backend: str) -> None:
    run(tmp_path, "--backend", backend, "--each")


@pytest.mark.exhaustive
@pytest.mark.parametrize("backend", SHARES)
def test_what_programs_do(tmp_path: Path, backend: str) -> None:
    interpreted = {"TRITON_INTERPRET": "1"} if backend == "cg-triton" else {}
    run(tmp_path, "--backend", backend, "--seed", str(FIRST[backend]), "--sequences", str(SHARES[backend]), **interpreted)


@pytest.mark.xla
@pytest.mark.slow
@pytest.mark.processes
def test_a_share_of_programs_of_jax(tmp_path: Path) -> None:
    run(tmp_path, "--jax", "--backend", "cg-llvm", "--sequences", "6", "--seed", "1000000")


@pytest.mark.xla
@pytest.mark.exhaustive
@pytest.mark.parametrize("backend", ["auto", "cg-llvm", "cg-hoist", "cg-dense", "cuequivariance-jax", "e3j"])
def test_programs_of_jax(tmp_path: Path, backend: str) -> None:
    run(tmp_path, "--jax", "--backend", backend, "--sequences", "50")


def test_a_sequence_is_its_seed() -> None:
    assert sequence(7) == sequence(7) != sequence(8)
    assert {name for seed in range(400) for name, _ in sequence(seed).steps} == set(STEPS), "every step is drawn"


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock's twin sees other numbers, so that a difference is there to be found."""
    import torch

    from tpregistry_e3nn import forward

    monkeypatch.setattr(forward, "dispatch", lambda module, x, y, w: torch.zeros(len(x), module.irreps_out.dim, dtype=x.dtype))


@pytest.mark.usefixtures("lying")
def test_a_difference_is_a_failure() -> None:
    failure = compare(Sequence(0, "full", "float64", (("moved_nowhere", 1),)))
    assert failure is not None
    assert failure.kind == "moved_nowhere, outcome: other numbers"
