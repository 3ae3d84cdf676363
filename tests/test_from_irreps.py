"""Problems from irreps against the modules of e3nn that users would build for the same words."""

from __future__ import annotations

import pytest

from tpregistry.from_irreps import problem_from_irreps
from tpregistry.problem import Mode

CASES = [("4x0e+3x1o", "2x0e+1x1o", "5x0e+6x1o+2x1e+3x2e"), ("8x0e+8x1o+8x2e", "0e+1o+2e", "0e+4x1o+2x2e+7x3o")]


def of(in1, in2, out=None, mode="uvu"):
    return problem_from_irreps(in1, in2, out, Mode(mode), shared_weights=True, dtype="float32")


def rows(module):
    return [(i.i_in1, i.i_in2, i.i_out, i.connection_mode, i.has_weight) for i in module.instructions]


def ours(problem):
    return [(p.i_in1, p.i_in2, p.i_out, p.mode.value, p.has_weight) for p in problem.paths]


@pytest.mark.parametrize("irreps", CASES)
def test_uvw_is_the_fully_connected_tensor_product(irreps):
    o3 = pytest.importorskip("e3nn.o3")
    module = o3.FullyConnectedTensorProduct(*irreps)
    problem = of(*irreps, mode="uvw")
    assert ours(problem) == rows(module)
    assert [p.coefficient for p in problem.paths] == pytest.approx([i.path_weight for i in module.instructions], rel=1e-14)
    assert problem.weight_numel == module.weight_numel


@pytest.mark.parametrize("mode", ["uvu", "uvv", "uuw", "uuu", "uvuv", "uvu<v", "u<vw"])
def test_other_modes_are_normalised_as_in_e3nn(mode):
    o3 = pytest.importorskip("e3nn.o3")
    in1, in2 = ("3x0e+3x1o", "3x0e+3x1o") if mode[0:2] == "uu" or "<" in mode else ("4x0e+3x1o", "2x0e+3x1o")
    problem = of(in1, in2, "5x0e+4x1o" if mode.endswith("w") else None, mode)
    instructions = [(p.i_in1, p.i_in2, p.i_out, mode, True) for p in problem.paths]
    module = o3.TensorProduct(in1, in2, str(problem.irreps_out), instructions)
    assert [p.coefficient for p in problem.paths] == pytest.approx([i.path_weight for i in module.instructions], rel=1e-14)


def test_an_omitted_output_has_one_irrep_per_path():
    problem = of("8x0e+8x1o", "0e+1o")
    assert str(problem.irreps_out) == "8x0e+8x1o+8x1o+8x0e+8x1e+8x2e"
    assert [p.i_out for p in problem.paths] == list(range(6))


def test_given_outputs_that_do_not_fit_are_skipped():
    problem = of("8x0e+8x1o", "0e+1o", "8x0e+4x1o+8x1o")
    assert ours(problem) == [(0, 0, 0, "uvu", True), (0, 1, 2, "uvu", True), (1, 0, 2, "uvu", True), (1, 1, 0, "uvu", True)]


def test_paths_into_one_output_share_its_variance():
    problem = of("8x0e+8x1o", "2x0e+3x1o", "8x1o")
    assert [p.coefficient**2 for p in problem.paths] == pytest.approx([3 / (3 + 2)] * 2)


@pytest.mark.parametrize(
    ("words", "mode", "message"),
    [
        (("4x0e", "0e", "4x1o"), "uvu", "no path of mode uvu"),
        (("4x0e", "0e", None), "uvw", "write OUT as well"),
        (("4x0e", "0f", None), "uvu", "'0f'"),
    ],
)
def test_what_couples_nowhere_is_an_error(words, mode, message):
    with pytest.raises(ValueError, match=message):
        of(*words, mode=mode)
