"""cg-llvm against the NumPy emitter and under the gate: all modes, dtypes, orders, strides, and numbers that are not numbers."""

import numpy as np
import pytest
import torch

from tests.oracle import agree_to_third_order
from tests.problems import problems
from tests.tiers import drawn
from tpregistry.frame import frame
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.gate import Yardstick, verify
from tpregistry.gate.cases import draw
from tpregistry.native import compiler, pool
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.plan.channelwise import channelwise
from tpregistry.problem import Mode, Problem
from tpregistry.testing import real_problems
from tpregistry.torch.differentiable import differentiable
from tpregistry.torch.native import CompiledPlan
from tpregistry_cg import CgLlvm
from tpregistry_cg.llvm import scaling
from tpregistry_cg.llvm.emitter import WRITER
from tpregistry_e3nn.adapter import Adapter


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@drawn(60, problem=problems())
def test_the_oracle_agrees_to_third_order(dtype: str, problem: Problem) -> None:
    agree_to_third_order(CompiledPlan(plan_tensor_product(channelwise(problem).inner), getattr(torch, dtype), WRITER), dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("of_x", [False, True])
def test_scalars_times_vectors_agree_to_third_order(dtype: str, of_x: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "CHUNK_BYTES", 2 * 4 * 6 * 4)  # two samples of float32, one of float64
    operands = ("3x0e", "4x2o", "6x2o") if of_x else ("4x2o", "3x0e", "6x2o")
    (part,) = channelwise(problem_from_irreps(*operands, Mode.UVW, shared_weights=True, dtype=dtype)).scalings
    agree_to_third_order(scaling.ScalingKernel(part.plan(), part.copies), dtype)


@pytest.mark.slow
@drawn(30, problem=problems("float32"))
def test_the_gate_accepts_every_mode(problem: Problem) -> None:
    evidence = verify(CgLlvm().build(problem, "cpu"), Yardstick(problem, Adapter().host(problem, "cpu"), frame("torch"), "cpu"))
    assert evidence.ok, evidence.failures


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nequip with parity", "sevennet-l3i5 inner", "mace skip connection", "nequip self-connection"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gate_accepts_real_products(name: str, dtype: str) -> None:
    problem = real_problems(dtype)[name].at(batch=256)
    evidence = verify(CgLlvm().build(problem, "cpu"), Yardstick(problem, Adapter().host(problem, "cpu"), frame("torch"), "cpu"))
    assert evidence.ok, evidence.failures


@pytest.mark.slow
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("operand", [0, 1, 2])
def test_what_is_not_a_number_stays_so(bad: float, operand: int) -> None:
    """In every copy of an irrep where the host has one, and in no other. Within a copy the host has them in more
    components, because it multiplies by stored zeros; how many depends on which of its formulas it takes."""
    problem = real_problems()["nequip with parity"]
    host, kernel = Adapter().host(problem, "cpu").kernel, CgLlvm().build(problem, "cpu")
    values = draw(problem, 4, 0).values
    tensors = [torch.from_numpy(values[name]).float() for name in "xyw"]
    tensors[operand][2, 5] = bad
    expected, found = host(*tensors), differentiable(kernel)(*tensors)
    assert not expected[2].isfinite().all()
    for item, place in zip(problem.irreps_out, problem.irreps_out.slices(), strict=True):
        theirs, ours = (out[:, place].unflatten(1, (item.mul, -1)).isfinite().all(-1) for out in (expected, found))
        assert torch.equal(ours, theirs), item


def test_rows_are_read_where_they_lie() -> None:
    problem = real_problems()["sevennet-0 last"]
    kernel = CgLlvm().build(problem, "cpu")
    x, y, w = (torch.randn(6, size) for size in (problem.irreps_in1.dim, problem.irreps_in2.dim, problem.weight_numel))
    expected = kernel(x, y, w)
    wide = torch.randn(6, 3 * x.shape[1])
    wide[:, : x.shape[1]] = x
    assert torch.equal(kernel(wide[:, : x.shape[1]], y, w), expected)
    assert torch.equal(kernel(x.T.contiguous().T, y, w), expected)
    negated = torch.view_as_complex(torch.stack([w, -w], dim=-1)).conj().imag
    assert negated.is_neg()
    assert torch.equal(kernel(x, y, negated), expected)
    one = kernel(x, y[:1].expand(6, -1), w)
    assert torch.equal(one, kernel(x, y[:1].repeat(6, 1), w))


def test_only_the_gradients_asked_for_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    inner = CompiledPlan.__call__
    monkeypatch.setattr(
        CompiledPlan,
        "__call__",
        lambda self, *a, **k: (computed.append([o.name for o in self.plan.outputs]), inner(self, *a, **k))[1],
    )
    problem = real_problems()["sevennet-0 last"]
    function = differentiable(CgLlvm().build(problem, "cpu"))
    x, y, w = (
        torch.randn(3, n, requires_grad=True) for n in (problem.irreps_in1.dim, problem.irreps_in2.dim, problem.weight_numel)
    )
    (dy,) = torch.autograd.grad(function(x, 1 * y, w).sum(), y, create_graph=True)
    assert computed[1:] == [["dy"]]
    torch.autograd.grad(dy.sum(), [x, w])
    assert set(computed[2]) == {"dx", "dw"}


def test_verdict_names_every_reason() -> None:
    problem = real_problems()["sevennet-0 last"].at(dtype="bfloat16")
    assert [reason.code for reason in CgLlvm().supports(problem, "cuda").reasons] == ["TP120", "TP121"]
    assert CgLlvm().supports(problem.at(dtype="float64"), "cpu").ok


@pytest.mark.parametrize("openmp", [True, False])
def test_threads_share_the_work(openmp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if openmp:
        assert pool._openmp() is not None, "torch brings an OpenMP library on Linux"
    else:
        monkeypatch.setattr(pool, "_openmp", lambda: None)
    counts = []
    run = pool.run
    monkeypatch.setattr(pool, "run", lambda functions, calls: (counts.append(len(calls)), run(functions, calls)))
    problem = real_problems()["sevennet-0 last"].at(shared_weights=True)
    forward = CgLlvm().build(problem, "cpu")
    x, y, w = (
        torch.randn(3001, problem.irreps_in1.dim),
        torch.randn(3001, problem.irreps_in2.dim),
        torch.randn(problem.weight_numel),
    )
    before, found = torch.get_num_threads(), {}
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            out = forward(x, y, w)
            found[threads] = out, *forward.vjp()(x, y, w, out)
    finally:
        torch.set_num_threads(before)
    assert counts == [1, 1, 3, 3]
    for one, three in zip(found[1][:3], found[3][:3], strict=True):
        assert torch.equal(one, three)
    torch.testing.assert_close(found[1][3], found[3][3], rtol=1e-4, atol=1e-3)


def test_work_is_not_split_for_less_than_a_thread_costs() -> None:
    assert pool.parts(1000, 10.0, 8) == [(0, 1000)]
    assert pool.parts(1000, 1000.0, 3) == [(0, 333), (333, 666), (666, 1000)]
    assert pool.parts(0, 1000.0, 3) == [(0, 0)]


@pytest.mark.slow
@pytest.mark.parametrize("width", [16, 32, 64])
def test_narrower_vectors_compute_the_same(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code for other CPUs: 16 bytes as on ARM and old x86, 32 as on most x86, 64 with AVX-512."""
    monkeypatch.setattr(compiler, "vector_bytes", lambda: width)
    plan = plan_tensor_product(real_problems()["nequip with parity"])
    generator = np.random.default_rng(0)
    for _ in range(3):
        arrays = [generator.standard_normal((3, operand.size)) for operand in plan.inputs]
        compiled = CompiledPlan(plan, torch.float32, WRITER)
        assert compiled.engine == f"llvm, {width // 4} lanes"
        results = compiled(*(torch.from_numpy(array).float() for array in arrays))
        for found, expected in zip(results, emit_numpy(plan)(*arrays), strict=True):
            np.testing.assert_allclose(found.numpy(), expected, atol=2e-5 * np.abs(expected).max(), rtol=0)
        plan = plan.vjp()
