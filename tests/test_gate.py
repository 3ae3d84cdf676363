"""The gate: honest kernels pass, and every fault that can be drawn is noticed."""

import numpy as np
import pytest

from tpregistry.frame import frame
from tpregistry.gate import Yardstick, verify
from tpregistry.problem import Problem
from tpregistry.testing import FAULTS, Loopback, applies, faulty_kernel, random_problem
from tpregistry_cg import CgDense, CgHoist, CgLlvm
from tpregistry_e3nn.adapter import Adapter

DRAWS = 27
"""Random problems per fault: with eight faults, 216 faulty kernels."""


def yardstick(problem: Problem) -> Yardstick:
    return Yardstick(problem, Adapter().host(problem, "cpu"), frame("torch"), "cpu")


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_kernels_are_rejected_and_honest_ones_are_not(fault: str) -> None:
    generator = np.random.default_rng(sorted(FAULTS).index(fault))
    drawn = 0
    while drawn < DRAWS:
        dtype = "float32" if "float32" in fault else str(generator.choice(["float32", "float64"]))
        problem = random_problem(generator, dtype)
        if not applies(problem, fault):
            continue
        drawn += 1
        against = yardstick(problem)
        evidence = verify(faulty_kernel(problem, fault, generator), against)
        assert not evidence.ok, f"{fault} went unnoticed on {problem.to_json()}"
        for backend in (Loopback(), CgDense(), CgHoist(), CgLlvm()):
            honest = verify(backend.build(problem, "cpu"), against)
            assert honest.ok, f"{backend.face.name}: {honest.failures} on {problem.to_json()}"


def test_evidence_names_the_check_that_failed() -> None:
    generator = np.random.default_rng(3)
    problem = random_problem(generator)
    while not problem.weight_numel:
        problem = random_problem(generator)
    evidence = verify(faulty_kernel(problem, "one weight gradient block off by 1 %", generator), yardstick(problem))
    assert any(failure.startswith("main dw: error") for failure in evidence.failures)
    assert all(len(pair) == 2 for pair in evidence.to_json().values())


def test_forward_only_problems_are_checked_without_gradients() -> None:
    problem = random_problem(np.random.default_rng(5)).at(derivatives=0)
    evidence = verify(CgHoist().build(problem, "cpu"), yardstick(problem))
    assert evidence.ok
    assert not any(" d" in check.name for check in evidence.checks)
