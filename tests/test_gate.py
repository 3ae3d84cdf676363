"""The gate: honest kernels pass, and every fault that can be drawn is noticed.

`make test-all` draws 60 problems per fault and 1,000 for honest kernels, from all of the zoo; other runs draw fewer, small ones.
"""

import random
import warnings

import numpy as np
import pytest
import torch

from tests.tiers import draws, first, tier
from tpregistry import isolation
from tpregistry.frame import frame
from tpregistry.gate import Yardstick, verify
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Problem
from tpregistry.store.evidence import required
from tpregistry.testing import FAULTS, READING, Loopback, PlanKernel, applies, faulty_kernel, random_problem, zoo
from tpregistry.testing.faults.faulty import Faulty
from tpregistry.torch.differentiable import differentiable
from tpregistry_cg import CgDense, CgHoist, CgLlvm
from tpregistry_e3nn.adapter import Adapter

WHOLE = tier() == "all"
HONEST = draws(100)
"""Random problems that honest kernels must pass, for each of ten seeds."""


def yardstick(problem: Problem) -> Yardstick:
    return Yardstick(problem, Adapter().host(problem, "cpu"), frame("torch"), "cpu")


def drawn_problem(generator: np.random.Generator, fault: str) -> Problem:
    """Of the zoo or random, in either dtype, at a batch that makes one or several blocks."""
    while True:
        dtype = str(generator.choice(["float32", "float64"]))
        animals = [problem for name, problem in zoo(dtype).items() if WHOLE or not name.startswith("real")]
        problem = animals[generator.integers(len(animals))] if generator.integers(2) else random_problem(generator, dtype)
        problem = problem.at(batch=int(generator.choice([64, 256])))
        if applies(problem, fault):
            return problem


def is_caught(problem: Problem, fault: str, generator: np.random.Generator) -> bool:
    """An error ends the check too: the tuner keeps it as the outcome."""
    try:
        return not verify(faulty_kernel(problem, fault, generator), yardstick(problem)).ok
    except RuntimeError as error:
        return str(error) == "out of registers"


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_noticed(fault: str) -> None:
    generator = np.random.default_rng(sorted(FAULTS).index(fault))
    for _ in range(draws(60) // (1 if WHOLE or fault not in READING else 3)):
        problem = drawn_problem(generator, fault)
        assert is_caught(problem, fault, generator), f"{fault} went unnoticed on {problem.to_json()}"


@pytest.mark.parametrize("fault", READING)
def test_faults_of_reading_are_noticed_in_convolutions(fault: str) -> None:
    generator = np.random.default_rng(sorted(READING).index(fault))
    for _ in range(draws(60) // 4):
        problem = drawn_problem(generator, fault).convolution(16)
        assert is_caught(problem, fault, generator), f"{fault} went unnoticed on {problem.to_json()}"


def test_evidence_holds_every_check_that_a_record_needs() -> None:
    problem = zoo("float32")["one triple by two paths"]
    for asked in (problem, problem.at(derivatives=0), problem.at(derivatives=1), problem.convolution(16)):
        evidence = verify(Loopback().build(asked, "cpu"), yardstick(asked))
        assert required(asked) <= evidence.to_json().keys(), required(asked) - evidence.to_json().keys()


@pytest.mark.slow
@pytest.mark.parametrize("seed", first(range(10), lambda seed: seed < 5))
def test_honest_kernels_are_not_rejected(seed: int) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(HONEST):
        problem = random_problem(generator, str(generator.choice(["float32", "float64"])))
        against = yardstick(problem)
        for backend in (Loopback(), CgDense(), CgHoist(), CgLlvm()):
            evidence = verify(backend.build(problem, "cpu"), against)
            assert evidence.ok, f"{backend.face.name}: {evidence.failures} on {problem.to_json()}"


def test_words_on_stdout_are_kept_off_it(capsys) -> None:
    problem = random_problem(np.random.default_rng(1))
    evidence = verify(faulty_kernel(problem, "prints to stdout", np.random.default_rng(1)), yardstick(problem))
    assert evidence.failures == ("main: prints 'compiling\\n" + "compiling\\n'" + " to stdout",)
    assert capsys.readouterr().out == ""


def test_evidence_names_the_check_that_failed() -> None:
    generator = np.random.default_rng(3)
    problem = random_problem(generator)
    while not problem.weight_numel:
        problem = random_problem(generator)
    evidence = verify(faulty_kernel(problem, "one weight gradient block off by 1 %", generator), yardstick(problem))
    assert any(failure.startswith("main dw (path ") for failure in evidence.failures)
    assert all(len(pair) == 2 for pair in evidence.to_json().values())


def test_forward_only_problems_are_checked_without_gradients() -> None:
    problem = random_problem(np.random.default_rng(5)).at(derivatives=0)
    evidence = verify(CgHoist().build(problem, "cpu"), yardstick(problem))
    assert evidence.ok
    assert not any(" d" in check.name for check in evidence.checks)


class Remembers:
    """Weights are packed once for each tensor, whatever it holds later."""

    engine = "packs"

    def __init__(self, kernel) -> None:
        self.kernel, self.packed = kernel, {}

    def __call__(self, x, y, w):
        kept, packed = self.packed.setdefault(id(w), (w, w.detach().clone()))
        return self.kernel(x, y, packed + (kept - kept.detach()))


class Frozen:
    """Its gradient by y is wrong where the weights ask for none."""

    engine = "frozen"

    def __init__(self, kernel) -> None:
        self.kernel = kernel

    def __call__(self, x, y, w):
        doubled = y if w.requires_grad or not torch.is_grad_enabled() else 2 * y - y.detach()
        return self.kernel(x, doubled, w)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Remembers, "does not see that w was changed in place"), (Frozen, "gives another gradient by y where x and y alone ask")],
)
def test_kernels_are_used_as_programs_use_them(kind, words: str) -> None:
    problem = zoo("float32")["mode uvu, per-sample weights"]
    evidence = verify(kind(CgHoist().build(problem, "cpu")), yardstick(problem))
    assert any(words in failure for failure in evidence.failures), evidence.failures


CHANGES = {
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "filters of warnings": lambda: warnings.simplefilter("ignore"),
    "torch's random generator": lambda: torch.rand(1),
    "NumPy's random generator": lambda: np.random.rand(),
    "Python's random generator": random.random,
    "gradient mode": lambda: torch.set_grad_enabled(False),
}


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("what", CHANGES)
def test_what_a_call_changes_of_the_program_is_a_fault(what: str, level: int, monkeypatch) -> None:
    """And is put back."""
    monkeypatch.setattr(isolation, "_alone", lambda: True)  # other tests leave threads behind

    def change(operands, results):
        CHANGES[what]()
        return results

    problem = zoo("float32")["one triple by two paths"].at(batch=64)
    honest = PlanKernel(plan_tensor_product(problem))
    kernel = Bare(honest, change) if what == "gradient mode" else Faulty(honest, level, change)
    before = torch.get_default_dtype(), torch.get_num_threads(), list(warnings.filters), torch.is_grad_enabled()
    evidence = verify(kernel, yardstick(problem))
    assert f"changes {what} of the program" in " ".join(evidence.faults)
    assert before == (torch.get_default_dtype(), torch.get_num_threads(), list(warnings.filters), torch.is_grad_enabled())


class Bare:
    """A kernel made of differentiable functions: autograd puts nothing back around it."""

    engine = "torch"

    def __init__(self, honest, change) -> None:
        self._product, self._change = differentiable(honest), change

    def __call__(self, x, y, w):
        return self._change((x, y, w), self._product(x, y, w))
