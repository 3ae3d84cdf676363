"""cuequivariance under the gate: the whole zoo, all modes, both dtypes, in whatever order they come."""

import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings

from tests.problems import problems
from tests.test_gate import yardstick
from tpregistry.gate import verify
from tpregistry.problem import Problem
from tpregistry.testing import zoo

pytest.importorskip("cuequivariance_torch", reason="cuequivariance is not installed: pip install 'tpregistry[cuequivariance]'")

from tpregistry_cuequivariance import Cuequivariance

WHOLE = bool(os.environ.get("WHOLE_SUITES"))
"""`make hosts`: NequIP's largest product in float32 too, a minute by its naive method."""

PROBLEMS = [
    (dtype, name) for dtype in ("float64", "float32") for name in zoo(dtype) if WHOLE or dtype == "float64" or "XL" not in name
]


@pytest.mark.parametrize(("dtype", "name"), PROBLEMS)
def test_the_zoo(dtype: str, name: str) -> None:
    problem = zoo(dtype)[name]
    kernel = Cuequivariance().build(problem, "cpu")
    assert kernel.engine == "naive"
    evidence = verify(kernel, yardstick(problem))
    assert evidence.ok, evidence.failures


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(problem=problems())
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


@pytest.mark.parametrize("order", [("float32", "float64"), ("float64", "float32")])
def test_a_dtype_does_not_spoil_the_next(order: tuple[str, str]) -> None:
    """The library caches coefficients of its own in the first dtype that a process asks for; ours are not among them."""
    ended = subprocess.run([sys.executable, "-c", ORDER, *order], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
