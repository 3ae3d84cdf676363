"""Plans through the NumPy emitter against e3nn: the function, its gradients and its double gradients, in all modes."""

import numpy as np
import torch
from hypothesis import strategies as st

from tests.problems import ALWAYS_WEIGHTED, problems
from tests.tiers import drawn, exhaustive
from tpregistry.frame import frame
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.gate.cases import draw
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.problem import Mode, Problem
from tpregistry.testing import random_problem
from tpregistry_e3nn.adapter import Adapter

MEASURED = ("out", "dx", "dy", "dw", "ddx", "ddy", "ddw", "ddg")


@drawn(1000, problem=problems(), seed=st.integers(0, 2**32))
def test_all_derivatives_equal_those_of_e3nn(problem: Problem, seed: int) -> None:
    operands = draw(problem, 3, seed)
    expected = frame("torch").observe(Adapter().host(problem, "cpu").kernel, operands, "float64", "cpu", 2).values
    plan, values = plan_tensor_product(problem), operands.values
    x, y, w, g = (values[name] for name in "xywg")
    (out,) = emit_numpy(plan)(x, y, w)
    first = emit_numpy(plan.vjp())(x, y, w, g)
    second = emit_numpy(plan.vjp().vjp())(x, y, w, g, *(values[name] for name in "abc"))
    for name, value in zip(MEASURED, (out, *first, *second), strict=True):
        np.testing.assert_allclose(value, expected[name], atol=1e-11 * max(1.0, abs(expected[name]).max(initial=0)), err_msg=name)


@exhaustive
def test_every_mode_is_drawn_weighted_or_not() -> None:
    drawn = set()

    @drawn(1000, problem=problems())
    def collect(problem: Problem) -> None:
        drawn.update((path.mode, path.has_weight, problem.shared_weights) for path in problem.paths)

    collect()
    weighted = {(mode, True, shared) for mode in Mode for shared in (True, False)}
    assert drawn >= weighted | {(mode, False, True) for mode in set(Mode) - set(ALWAYS_WEIGHTED)}


def test_third_order_is_a_plan_too() -> None:
    problem = random_problem(np.random.default_rng(1), "float64")
    plan = plan_tensor_product(problem).vjp().vjp().vjp()
    assert len({operand.name for operand in plan.inputs}) == len(plan.inputs)
    arrays = [np.ones((2, operand.size) if operand.batched else (operand.size,)) for operand in plan.inputs]
    assert all(np.isfinite(result).all() for result in emit_numpy(plan)(*arrays))


def test_tangents_of_tangents_have_names_of_their_own() -> None:
    """Forward over forward: along one direction twice, x y w gives 2 (x' y' w + x' y w' + x y' w')."""
    plan = plan_tensor_product(problem_from_irreps("3x0e+2x1o", "0e+1o", None, Mode.UVU, shared_weights=False, dtype="float64"))
    generator = np.random.default_rng(0)
    point, along = ([generator.standard_normal((2, o.size)) for o in plan.inputs] for _ in range(2))
    twice = plan.tangent((True,) * 3).tangent((True, True, True, False, False, False))
    assert len({operand.name for operand in twice.inputs}) == 9
    (found,) = emit_numpy(twice)(*point, *along, *along)

    def at(*which: int) -> np.ndarray:
        return emit_numpy(plan)(*(along[n] if n in which else point[n] for n in range(3)))[0]

    np.testing.assert_allclose(found, 2 * (at(0, 1) + at(0, 2) + at(1, 2)), atol=1e-11)


def test_a_plan_can_be_read() -> None:
    text = str(plan_tensor_product(random_problem(np.random.default_rng(0))))
    assert text.startswith("plan x(batch, ")
    assert "+= C_ijk(" in text


def test_float32_plans_stay_in_float32() -> None:
    problem = random_problem(np.random.default_rng(2))
    values = draw(problem, 3, 0).values
    (out,) = emit_numpy(plan_tensor_product(problem))(*(values[name].astype(np.float32) for name in "xyw"))
    assert out.dtype == np.float32
    assert torch.from_numpy(out).dtype == torch.float32
