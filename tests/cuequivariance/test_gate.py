"""cuequivariance under the gate: the whole zoo, all modes, both dtypes, in whatever order they come."""

import subprocess
import sys

import pytest

from tests.problems import problems
from tests.test_gate import yardstick
from tests.tiers import drawn, first
from tpregistry.gate import verify
from tpregistry.problem import Problem
from tpregistry.testing import zoo

pytest.importorskip("cuequivariance_torch", reason="cuequivariance is not installed: pip install 'tpregistry[cuequivariance]'")

from tpregistry_cuequivariance import Cuequivariance

PROBLEMS = [(dtype, name) for dtype in ("float64", "float32") for name in zoo(dtype)]


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "name"), first(PROBLEMS, lambda one: one[0] == "float64" and "XL" not in one[1]))
def test_the_zoo(dtype: str, name: str) -> None:
    problem = zoo(dtype)[name]
    kernel = Cuequivariance().build(problem, "cpu")
    assert kernel.engine == "naive"
    evidence = verify(kernel, yardstick(problem))
    assert evidence.ok, evidence.failures


@pytest.mark.slow
@drawn(40, problem=problems())
def test_every_mode_with_empty_pieces_and_repeated_ones(problem: Problem) -> None:
    evidence = verify(Cuequivariance().build(problem, "cpu"), yardstick(problem))
    assert evidence.ok, evidence.failures


ORDER = """
import sys
import torch
from tests.test_gate import verify, yardstick
from tpregistry.testing import zoo
from tpregistry_cuequivariance import Cuequivariance
for dtype in sys.argv[1:]:
    torch.set_default_dtype(getattr(torch, dtype))
    problem = zoo(dtype)["both parities"]
    evidence = verify(Cuequivariance().build(problem, "cpu"), yardstick(problem))
    assert evidence.ok, evidence.failures
"""


@pytest.mark.processes
@pytest.mark.parametrize("order", [("float32", "float64"), ("float64", "float32")])
def test_a_dtype_does_not_spoil_the_next(order: tuple[str, str]) -> None:
    """The library caches coefficients of its own in the first dtype that a process asks for; ours are not among them."""
    ended = subprocess.run([sys.executable, "-c", ORDER, *order], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
