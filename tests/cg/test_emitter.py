"""The emitter on its own: what it writes can be read, its pieces do what they say, and it stays small and quick."""

import time

import numpy as np
import pytest
import torch

from tpregistry.from_irreps import problem_from_irreps
from tpregistry.native import Machine, compiler
from tpregistry.native.lanes import chunks, load_components, store_components
from tpregistry.native.text import Text
from tpregistry.plan import plan_tensor_product
from tpregistry.plan.channelwise import channelwise
from tpregistry.plan.schedule import NotScheduled, schedule
from tpregistry.problem import Mode, Problem
from tpregistry.testing import real_problems, zoo
from tpregistry_cg.llvm.emitter import write
from tpregistry_cg.llvm.nodes import pieces

ALL_PARITIES = "64x0e+64x0o+64x1e+64x1o+64x2e+64x2o+64x3e+64x3o"


def sixty_eight_paths() -> Problem:
    out = "+".join(f"{ALL_PARITIES}" for _ in range(1))
    problem = problem_from_irreps(ALL_PARITIES, "0e+1o+2e+3o", out, Mode.UVU, shared_weights=False, dtype="float32")
    assert len(problem.paths) == 68
    return problem


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("d", [1, 3, 5, 7, 9])
def test_components_are_taken_apart_and_put_back(width: int, d: int) -> None:
    text = Text("float")
    loaded = load_components(text, "%from", d, width)
    for i, component in enumerate(loaded):
        text.store(text.at("%apart", str(i * width)), component, width)
    store_components(text, "%to", loaded, width, add=False)
    head = "define void @run(ptr %from, i64 %a, i64 %b, ptr %to) {\nentry:\n  %apart = getelementptr float, ptr %to, i64 512"
    share = "define void @share(ptr %job) {\n  ret void\n}"
    functions = compiler.load("\n".join([head, *text.lines, "  ret void", "}", share]))
    numbers, result = np.arange(d * width, dtype=np.float32), np.zeros(1024, np.float32)
    functions.run(numbers.ctypes.data, 0, 0, result.ctypes.data)
    np.testing.assert_array_equal(result[: d * width], numbers)
    np.testing.assert_array_equal(result[512 : 512 + d * width], numbers.reshape(width, d).T.reshape(-1))


@pytest.mark.parametrize("count", range(70))
def test_chunks_cover_every_lane_once(count: int) -> None:
    covered = [
        lane
        for start, stop, width in chunks(count, 16)
        for first in range(start, stop, width)
        for lane in range(first, first + width)
    ]
    assert covered == list(range(count))


def test_a_schedule_can_be_read() -> None:
    text = str(schedule(plan_tensor_product(real_problems()["sevennet-0 last"]).vjp()))
    assert "a at 128, 64 lanes of 3" in text
    assert "dx += y w dout; dy += x w dout; dw += x y dout" in text


def test_terms_that_mix_channels_are_not_scheduled() -> None:
    with pytest.raises(NotScheduled, match="not a product channel by channel"):
        schedule(plan_tensor_product(real_problems()["mace skip connection"]))


def test_the_same_plan_is_written_the_same() -> None:
    one, two = (write(plan_tensor_product(real_problems()["nequip L inner"]), Machine("float", 16)) for _ in range(2))
    assert one == two


def at_nodes(problem: Problem, operand: str) -> list[tuple[int, int, int]]:
    """Start, copies and components of the pieces that lie apart while a node's edges go by."""
    plan = plan_tensor_product(channelwise(problem.convolution(16)).inner)
    return [(piece.start, piece.lanes, piece.size) for piece in pieces(schedule(plan), operand)]


def test_what_is_summed_at_a_node_lies_component_by_component() -> None:
    sums = at_nodes(real_problems()["mace layer 1"], "out")
    assert sums == [(0, 128, 1), (128, 128, 3), (512, 128, 5), (1152, 128, 7)]


def test_rows_that_blocks_see_in_two_ways_stay_as_they_are() -> None:
    """Of x, one path takes four vectors as lanes, another takes them one by one."""
    assert at_nodes(zoo("float32")["mixed modes, some without weights"], "x") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "limit"),
    [
        (real_problems()["mace-mp-0 medium layer 2"], 3.0),
        (real_problems()["nequip L inner"], 6.0),
        (sixty_eight_paths(), 20.0),
    ],
    ids=["10 paths", "23 paths", "68 paths"],
)
def test_build_time(problem: Problem, limit: float) -> None:
    plan = plan_tensor_product(problem)
    for factor in (1, 3, 3):
        start = time.process_time()
        compiler.load(write(plan, Machine("float", compiler.vector_bytes() // torch.float32.itemsize)).source)
        assert time.process_time() - start < limit * factor
        plan = plan.vjp()
