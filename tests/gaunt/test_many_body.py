"""Powers of a signal: backends through the gate, against forms of their own, and the contraction made of them."""

import json

import numpy as np
import pytest
import torch
from tpregistry_gaunt import GtpFourier, GtpGrid, GtpLlvm, GtpSeparable, GtpSeparableFft

import tpregistry
from tpregistry.building import build
from tpregistry.chain import Chained
from tpregistry.frame import frame
from tpregistry.gate.cases import draw
from tpregistry.hosts import host_for
from tpregistry.many_body import gaunt_many_body as problem_of
from tpregistry.many_body import links, unit_variance
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Problem
from tpregistry.so3 import irreps_matrix
from tpregistry.so3.grids import grid
from tpregistry.so3.harmonics import spherical_harmonics
from tpregistry.store import Outcome
from tpregistry.testing import PlanKernel
from tpregistry.testing.conformance import examine
from tpregistry.testing.faults.faulty import Faulty
from tpregistry.torch import GauntSymmetricContraction, gaunt, gaunt_many_body
from tpregistry.torch.differentiable import differentiable
from tpregistry_cg import CgHoist, CgLlvm

IN, OUT = "3x0e+3x1o+3x2e+3x3o", "3x0e+3x1o+3x2e"
SIGNAL = "+".join(f"3x{l}{'eo'[l % 2]}" for l in range(7))
PROBLEMS = {
    "as in MACE": problem_of(IN, OUT, 3, "float64"),
    "one degree, whose square lacks what is wanted": problem_of("3x1o", "3x1o", 2, "float64"),
    "some degrees, in no order": problem_of("2x3o+2x1o", "2x2e+2x5o+2x0e", 4, "float64"),
    "no product": problem_of("2x0e+2x1o", "2x1o+2x2e", 1, "float64"),
}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("backend", [GtpGrid, GtpSeparable, GtpSeparableFft, GtpLlvm, GtpFourier, CgLlvm, CgHoist])
def test_backends_pass_the_gate(backend, name: str) -> None:
    """One grid, and chains of every kind of product; derivatives to order 2."""
    problem = PROBLEMS[name].at(batch=64)
    outcome = examine(backend(), problem, host_for(problem, "torch", "cpu"), frame("torch"), "cpu")
    assert outcome.state is Outcome.OK, outcome


@pytest.mark.parametrize("name", PROBLEMS)
def test_its_definition_is_the_integral_of_powers(name: str) -> None:
    """On a Gauss-Legendre grid far finer than any that a backend takes."""
    problem = PROBLEMS[name]
    signal, out, copies = problem.irreps_in1, [item.l for item in problem.irreps_out], problem.irreps_in1[0].mul
    points = grid("gauss-legendre", 40)
    harmonics = spherical_harmonics(6, points.points)
    x = np.random.default_rng(0).standard_normal((2, signal.dim))
    parts = [x[:, place].reshape(2, copies, -1) for place in signal.slices()]
    values = sum(part @ harmonics[:, item.l**2 : (item.l + 1) ** 2].T for item, part in zip(signal, parts, strict=True))
    found = host_for(problem, "torch", "cpu").kernel(torch.from_numpy(x), torch.zeros(2, 0), torch.zeros(0)).numpy()
    for number, place in enumerate(problem.irreps_out.slices()):
        power = values ** (1 + number // (len(out) // problem.correlation))
        expected = (power * points.weights) @ harmonics[:, out[number] ** 2 : (out[number] + 1) ** 2]
        assert np.allclose(found[:, place], expected.reshape(2, -1), atol=1e-11 * abs(power).max())


def test_one_grid_is_the_chain_that_truncates_nothing() -> None:
    x = torch.randn(5, 48, dtype=torch.float64)
    with tpregistry.use(backend="gtp-grid"):
        one, two, three = gaunt_many_body(x, 3, IN, OUT)
    assert tpregistry.decisions()[-1].engine == "torch, 25 pairs of points (lebedev), 3 powers"
    with tpregistry.use(backend="off"):
        square = gaunt(x, x, IN, IN, SIGNAL, "integral")
        cube = gaunt(square, x, SIGNAL, IN, OUT, "integral")
    for found, expected in ((one, x), (two, square), (three, cube)):
        assert torch.allclose(found, expected[:, : found.shape[1]], atol=1e-12)


def test_the_chain_cuts_off_what_cannot_come_back_and_no_more() -> None:
    second, third, fourth = links(problem_of("0e+1o+2e", "0e+1o", 4))
    assert [str(link.irreps_out) for link in (second, third, fourth)] == [
        "1x0e+1x1o+1x2e+1x3o+1x4e",
        "1x0e+1x1o+1x2e+1x3o",
        "1x0e+1x1o",
    ]


def test_it_is_decided_among_one_grid_and_chains() -> None:
    problem = problem_of("2x0e+2x1o", "2x0e+2x1o", 3).at(batch=16, derivatives=1)
    (resolution,) = tpregistry.explain(problem)
    choice = resolution.foresee(may_measure=True)
    assert {"gtp-grid", "gtp-fourier", "cg-llvm", "cg-hoist", "cg-dense", "definition"} <= set(choice.order)
    (decision,) = tpregistry.autotune(problem)
    assert decision.record is not None
    assert {entry.backend for entry in decision.record.entries if entry.samples_us} >= {"gtp-grid", "cg-hoist", "definition"}
    mtp = next(candidate for candidate in resolution.candidates if candidate.name == "mtp")
    assert [reason.code for reason in mtp.reasons] == ["TP111"]


def test_forces_that_are_timed_go_through_x() -> None:
    """There is no y: training on forces goes back through the output twice, for a force and for all gradients."""
    problem = problem_of("2x0e+2x1o", "2x0e+2x1o", 3)
    kernel, seen = build(GtpGrid(), problem, "cpu", "torch"), []

    def listening(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        out = kernel(x, y, w)
        out.register_hook(lambda cotangent: seen.append(cotangent.shape))
        return out

    for order, times in ((1, 1), (2, 2)):
        seen.clear()
        frame("torch").thunk(listening, draw(problem, 4, 0), "float32", "cpu", order)()
        assert len(seen) == times


def test_a_problem_says_its_order_and_survives_json() -> None:
    problem = PROBLEMS["as in MACE"]
    assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem
    assert "gaunt_many_body of 3x0e+3x1o+3x2e+3x3o -> 3x0e" in str(problem)
    assert "[correlation 3]" in str(problem)
    assert problem.digest != problem_of(IN, OUT, 2, "float64").digest
    with pytest.raises(ValueError, match="the same irreps for each power"):
        problem.at(irreps_out=problem.irreps_in1.__class__(problem.irreps_out.items[:-1]))


def test_the_contraction_turns_with_its_input_and_knows_elements() -> None:
    made = GauntSymmetricContraction(IN, OUT, correlation=3, num_elements=2).double()
    x, elements = torch.randn(6, 48, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1, 0])
    turn = np.array([0.4, 0.2, -0.9])
    matrices = [torch.from_numpy(irreps_matrix(rep, turn, inversion=True)) for rep in (made.irreps_in, made.irreps_out)]
    with tpregistry.use(backend="gtp-grid"):
        assert torch.allclose(made(x @ matrices[0].T, elements), made(x, elements) @ matrices[1].T, atol=1e-11)
        assert not torch.allclose(made(x, elements), made(x, 1 - elements))
    assert sorted(made.state_dict()) == ["gaunt_weight"]


@pytest.mark.parametrize("backend", ["gtp-grid", "gtp-llvm", "cg-llvm"])
def test_forces_through_the_contraction(backend: str) -> None:
    """Second derivatives against those of the definition."""
    made = GauntSymmetricContraction("2x0e+2x1o", "2x0e+2x1o", correlation=3, num_elements=2).double()
    x = torch.randn(6, 8, dtype=torch.float64, requires_grad=True)

    def second(name: str) -> list[torch.Tensor]:
        with tpregistry.use(backend=name):
            energy = made(x, torch.tensor([0, 1, 0, 1, 1, 0])).tanh().sum()
            (force,) = torch.autograd.grad(energy, x, create_graph=True)
            return list(torch.autograd.grad(force.square().sum(), (x, made.gaunt_weight)))

    for found, expected in zip(second(backend), second("off"), strict=True):
        assert torch.allclose(found, expected, atol=1e-10)


def test_its_outputs_have_about_unit_variance() -> None:
    made = GauntSymmetricContraction("16x0e+16x1o+16x2e", "16x0e+16x1o", correlation=3, num_elements=20)
    with tpregistry.use(backend="off"):
        out = made(torch.randn(4000, 144), torch.randint(20, (4000,)))
    assert 0.6 < float(out.detach().square().mean()) < 1.6


def test_variances_are_those_of_random_signals() -> None:
    """Exact where they are measured here: on 200,000 signals, each power and degree; the square lacks degree 1."""
    problem = problem_of("1o", "0e+1o+2e", 3, "float64")
    x = torch.randn(200_000, 3, dtype=torch.float64)
    found = host_for(problem, "torch", "cpu").kernel(x, x[:, :0], x.new_zeros(0))
    squares = torch.stack([found[:, place].square().mean() for place in problem.irreps_out.slices()]).numpy().reshape(3, 3)
    assert np.allclose(squares * unit_variance(problem) ** 2, [[0, 1, 0], [1, 0, 1], [0, 1, 0]], atol=0.03)


def test_irreps_that_are_no_signal_are_refused() -> None:
    for irreps in ("8x0e+8x1e", "8x0e+4x1o", "8x1o+8x1o", ""):
        with pytest.raises(ValueError, match="use natural irreps"):
            gaunt_many_body(torch.zeros(1, 1), 2, irreps, "8x0e")
    with pytest.raises(ValueError, match="as many copies out as in"):
        GauntSymmetricContraction("8x0e", "4x0e", 2, 1)
    with pytest.raises(ValueError, match="correlation 0: at least 1"):
        GauntSymmetricContraction("8x0e", "8x0e", 0, 1)


@pytest.mark.parametrize("name", ["as in MACE", "some degrees, in no order"])
@pytest.mark.parametrize("level", [1, 2])
def test_a_link_whose_derivative_raises_ends_in_its_definition(name: str, level: int) -> None:
    def change(operands, results):
        raise RuntimeError("gave up")

    problem, told = PROBLEMS[name], []
    kernels = [Faulty(PlanKernel(plan_tensor_product(link)), level, change) for link in links(problem)]
    chained = differentiable(Chained(problem, kernels, "cpu", "torch"), lost=lambda own, error: told.append(str(error)) or own())
    x = torch.randn(4, problem.irreps_in1.dim, dtype=torch.float64, requires_grad=True)
    none = torch.zeros(4, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)

    def second(function) -> torch.Tensor:
        (first,) = torch.autograd.grad(function(x, *none).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    torch.testing.assert_close(second(chained), second(host_for(problem, "torch", "cpu").kernel))
    assert {*told} == {"gave up"}
