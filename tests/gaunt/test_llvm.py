"""gtp-llvm: one pass for the product and each derivative, against the plan's own NumPy."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from tpregistry_gaunt.build import form
from tpregistry_gaunt.llvm.emitter import write
from tpregistry_gaunt.llvm.fields import of_product

from tests.oracle import agree_to_third_order
from tests.tiers import drawn
from tpregistry import products
from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.native import Writer, compiler
from tpregistry.native.matmul import ROWS, constant, matmul, padded
from tpregistry.native.text import Text
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.problem import Problem
from tpregistry.products import vector_irreps
from tpregistry.torch.native import CompiledPlan


def kernel_of(problem: Problem) -> CompiledPlan:
    writer = Writer("gtp-llvm", partial(write, of_product(problem, form(problem))))
    return CompiledPlan(plan_tensor_product(problem), getattr(torch, problem.dtype), writer)


@st.composite
def signals(draw: st.DrawFn) -> Problem:
    """Any irreps with as many copies, repeated ones and ones without copies among them."""
    copies = draw(st.integers(1, 3))
    piece = st.builds(MulIrrep, st.sampled_from([copies, copies, copies, 0]), st.integers(0, 3), st.sampled_from([1, -1]))
    reps = [Irreps(tuple(draw(st.lists(piece, min_size=1, max_size=4)))) for _ in range(3)]
    make = draw(st.sampled_from([products.gaunt, products.curl]))
    return make(*reps, dtype=draw(st.sampled_from(["float32", "float64"])))


@drawn(40, problem=signals(), samples=st.sampled_from([1, 5, ROWS, 2 * ROWS + 1]))
def test_the_oracle_agrees_to_third_order(problem: Problem, samples: int) -> None:
    agree_to_third_order(kernel_of(problem), problem.dtype, samples)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_vector_signals_agree_to_third_order(dtype: str) -> None:
    field = f"{vector_irreps(1, 2)}+{vector_irreps(1, 2, axial=True)}"
    agree_to_third_order(kernel_of(products.vector_signal(field, field, field, dtype=dtype)), dtype, 7)


def test_only_what_is_given_and_wanted() -> None:
    rep = "2x0e+2x1o+2x2e"
    problem = products.gaunt(rep, rep, rep, dtype="float64")
    plan = plan_tensor_product(problem).vjp().vjp()
    for wanted in range(len(plan.outputs)):
        part = plan.part((True,) * len(plan.inputs), tuple(n == wanted for n in range(len(plan.outputs))))
        kernel = CompiledPlan(part, torch.float64, kernel_of(problem).writer)
        arrays = [np.random.default_rng(n).standard_normal((5, o.size) if o.batched else o.size) for n, o in enumerate(part.inputs)]
        (found,), (expected,) = kernel(*map(torch.from_numpy, arrays)), emit_numpy(part)(*arrays)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("width", [16, 32, 64])
def test_narrower_vectors_compute_the_same(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "vector_bytes", lambda: width)
    for dtype in ("float32", "float64"):
        agree_to_third_order(kernel_of(products.gaunt("0e+1o+2e", "1o+3o", "0e+2e+3o", dtype=dtype)), dtype, ROWS + 1)


@pytest.mark.parametrize("columns", [1, 4, 5, 16, 37, 100, 130])
@pytest.mark.parametrize("inner", [1, 9])
def test_matrix_products_of_a_block(columns: int, inner: int) -> None:
    lanes = compiler.vector_bytes() // 4
    text, wide = Text("float"), padded(columns, lanes)
    table = np.zeros((inner, wide), np.float32)
    table[:, :columns] = np.random.default_rng(0).standard_normal((inner, columns))
    matmul(text, [("%from", "@table", inner), ("%from", "@table", inner)], "%to", wide, lanes)
    head = "define void @run(ptr %from, i64 %a, i64 %b, ptr %to) {\nentry:"
    share = "define void @share(ptr %job) {\n  ret void\n}"
    lines = [constant("table", table, "float"), head, *text.lines, "  ret void", "}", share, *text.declarations()]
    rows = np.random.default_rng(1).standard_normal((ROWS, inner)).astype(np.float32)
    result = np.full((ROWS, wide), np.nan, np.float32)
    compiler.load("\n".join(lines)).run(rows.ctypes.data, 0, 0, result.ctypes.data)
    np.testing.assert_allclose(result, 2 * rows @ table, atol=1e-5)
