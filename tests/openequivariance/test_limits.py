"""What OpenEquivariance is not asked to do, each with its reason; what is asked of it instead is the rest."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tpregistry.from_irreps import problem_from_irreps
from tpregistry.problem import Mode, Problem
from tpregistry.testing import real_problems, zoo
from tpregistry_openequivariance import Openequivariance

USUAL = problem_from_irreps("4x0e+4x1o", "0e+1o", None, Mode.UVU, shared_weights=False, dtype="float32")
FIRST, *REST = USUAL.paths
ROUNDED = tuple(replace(path, rounding="float32") for path in USUAL.paths)
COARSE = tuple(replace(path, rounding="bfloat16") for path in USUAL.paths)


def codes(problem: Problem, device: str = "cuda") -> list[str]:
    return [reason.code for reason in Openequivariance().supports(problem, device).reasons]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_products_of_models_are_supported(dtype: str, device: str) -> None:
    assert not {name: codes(problem, device) for name, problem in real_problems(dtype).items() if codes(problem, device)}


REFUSED = {
    "a CPU": (USUAL, "cpu", ["TP120"]),
    "another accelerator": (USUAL, "mps", ["TP120"]),
    "half precision": (USUAL.at(dtype="float16"), "cuda", ["TP121"]),
    "mixed modes": (USUAL.at(paths=(replace(FIRST, mode=Mode.UVW), *REST)), "cuda", ["TP123"]),
    "a path without weights": (USUAL.at(paths=(replace(FIRST, has_weight=False), *REST)), "cuda", ["TP124"]),
    "no path": (USUAL.at(paths=()), "cuda", ["TP125"]),
    "a result that no path reaches": (USUAL.at(paths=tuple(REST)), "cuda", ["TP125"]),
    "rounded coefficients": (USUAL.at(dtype="float64", paths=ROUNDED), "cuda", ["TP125"]),
    "coarsely rounded ones": (USUAL.at(paths=COARSE), "cuda", ["TP125"]),
    "repeatable sums over a graph": (USUAL.convolution(4).at(deterministic=True), "cuda", ["TP126"]),
    "repeatable gradients of shared weights": (USUAL.at(shared_weights=True, deterministic=True), "cuda", ["TP126"]),
    "everything at once": (zoo("float32")["mixed modes, some without weights"].at(dtype="bfloat16"), "cpu", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_every_limit_has_its_reason(case: str) -> None:
    problem, device, expected = REFUSED[case]
    assert codes(problem, device) == (expected or ["TP120", "TP121", "TP123", "TP123", "TP124"])


@pytest.mark.slow
@pytest.mark.parametrize("mode", [mode for mode in Mode if mode not in (Mode.UVU, Mode.UVW)])
def test_other_modes_are_named(mode: Mode) -> None:
    (reason, *_) = Openequivariance().supports(zoo("float32")[f"mode {mode}, shared weights"], "cuda").reasons
    assert (reason.code, reason.message) == ("TP123", f"openequivariance does modes uvu and uvw, not {mode}")


def test_pieces_left_alone_are_named() -> None:
    reasons = Openequivariance().supports(zoo("float32")["pieces that no path reaches"], "cuda").reasons
    assert [reason.message for reason in reasons] == [
        "openequivariance wants a path for every piece of x, but 3x0e has none",
        "openequivariance wants a path for every piece of y, but 1x0e has none",
        "openequivariance wants a path for every piece of out, but 2x2e has none",
    ]
    assert set(codes(zoo("float32")["no copies of one irrep"])) == {"TP125"}


def test_convolutions_begin_with_zeros() -> None:
    assert codes(USUAL.at(paths=tuple(REST)).convolution(4)) == []
    assert set(codes(zoo("float32")["no copies of one irrep"].convolution(4))) == {"TP125"}


def test_a_model_rounded_to_its_own_precision_is_supported() -> None:
    assert codes(USUAL.at(paths=ROUNDED)) == []


LIGHT = """
import sys
from tpregistry_openequivariance import Openequivariance
from tpregistry.testing import real_problems
Openequivariance().supports(real_problems()["mace layer 1"], "cuda")
print([name for name in ("torch", "openequivariance") if name in sys.modules])
"""


@pytest.mark.processes
def test_the_face_imports_neither_torch_nor_the_library() -> None:
    assert subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True).stdout.strip() == "[]"
