"""Problems and irreps: canonical, complete, and clear about what does not fit."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from tpregistry.irreps import Irreps
from tpregistry.problem import Mode, Path, Problem, bucket
from tpregistry.testing import random_problem

PROBLEM = Problem(
    Irreps.parse("4x0e+2x1o"), Irreps.parse("0e + 1o"), Irreps.parse("4x0e+4x1o"), (Path(0, 0, 0, Mode.UVU, True, 1.0),), False
)


@pytest.mark.parametrize("text", ["", "16x0e", "0e+1o", "128x0e + 64x1o+3x11e", "0x2e"])
def test_irreps_round_trip(text: str) -> None:
    irreps = Irreps.parse(text)
    assert Irreps.parse(str(irreps)) == irreps
    assert irreps.dim == sum(part.stop - part.start for part in irreps.slices())


@pytest.mark.parametrize("text", ["16x", "1", "0e+", "-1x0e", "1x1x", "2e3"])
def test_bad_irreps_name_the_part(text: str) -> None:
    with pytest.raises(ValueError, match="is not an irrep; write '16x1o'"):
        Irreps.parse(text)


@pytest.mark.parametrize("seed", range(30))
def test_problems_survive_json(seed: int) -> None:
    problem = random_problem(np.random.default_rng(seed))
    assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem


CHANGES = {
    "irreps_in1": Irreps.parse("4x0e+3x1o"),
    "irreps_in2": Irreps.parse("0e+1o+2e"),
    "irreps_out": Irreps.parse("4x0e+5x1o"),
    "paths": (replace(PROBLEM.paths[0], coefficient=1.0 + 1e-15),),
    "shared_weights": True,
    "dtype": "float64",
    "derivatives": 1,
    "batch": 4096,
    "operation": "tensor_product_conv",
    "nodes": 256,
    "execution": "compile",
    "deterministic": True,
    "precision": "high",
    "powers": None,
}


def test_any_change_of_any_field_changes_the_digest() -> None:
    """That of powers, which only contractions have: tests/test_contraction.py."""
    assert set(CHANGES) == {field.name for field in fields(Problem)}
    digests = {PROBLEM.at(**{name: value}).digest for name, value in CHANGES.items()} | {PROBLEM.digest}
    assert len(digests) == len(CHANGES)


@pytest.mark.parametrize("field", [field.name for field in fields(Path)])
def test_any_change_of_a_path_changes_the_digest(field: str) -> None:
    base = Problem(Irreps.parse("2x0e+2x0e"), Irreps.parse("2x0e+2x0e"), Irreps.parse("2x0e+2x0e"), PROBLEM.paths, False)
    other = {"mode": Mode.UUU, "has_weight": False, "coefficient": -1.0, "rounding": "float32"}.get(field, 1)
    assert base.at(paths=(replace(base.paths[0], **{field: other}),)).digest != base.digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"i_out": 1}, "breaks the triangle rule"),
        ({"i_in1": 1}, "breaks the triangle rule"),
        ({"i_in1": 2}, "i_in1=2, but there are 2 irreps"),
        ({"mode": Mode.UVV}, "mode uvv does not fit 4 and 1 copies -> 4"),
        ({"rounding": "float8"}, "unknown rounding 'float8'"),
    ],
)
def test_paths_that_do_not_fit_are_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        PROBLEM.at(paths=(replace(PROBLEM.paths[0], **changes),))


def test_json_with_wrong_fields_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"unknown fields of a problem: \['colour'\]"):
        Problem.from_json(PROBLEM.to_json() | {"colour": "red"})
    with pytest.raises(ValueError, match=r"lacks the fields \['paths'\]"):
        Problem.from_json({name: value for name, value in PROBLEM.to_json().items() if name != "paths"})


def test_buckets_are_powers_of_four_nearest_on_a_logarithmic_scale() -> None:
    assert [bucket(batch) for batch in (0, 1, 2, 7, 8, 31, 32, 1000, 6912, 50_000)] == [0, 1, 4, 4, 16, 16, 64, 1024, 4096, 65536]
