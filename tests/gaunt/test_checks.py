"""The rest of the numbered checks, and that none is missing (see `tests/so3/test_checks.py`)."""

import re
import sys
from itertools import pairwise
from math import pi, sqrt
from pathlib import Path

import e3nn_jax
import jax
import numpy as np
import pytest
from e3nn import o3

from tpregistry import expressivity, products
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.so3 import wigner_3j, wigner_D
from tpregistry.so3.grids import grid, product_degree
from tpregistry.so3.harmonics import legendre, spherical_harmonics

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "paper"))
from microbenchmarks_cases import problems
from microbenchmarks_published import CPU, RTX, published
from microbenchmarks_report import Row, crossover, time

RANDOM = np.random.default_rng(0)

ELSEWHERE = {51: "benchmarks/paper/tetris.py"}
"""Checks that train: each has a command of its own."""


def whole(degree: int) -> str:
    return str(o3.Irreps.spherical_harmonics(degree))


def test_every_check_has_a_test() -> None:
    files = [ROOT / "tests" / "so3" / "test_checks.py", *(ROOT / "tests" / "gaunt").glob("test_*.py")]
    names = re.findall(r"^def test_checks?_([\d_a-z]+?)\(", "\n".join(file.read_text() for file in files), re.MULTILINE)
    found = set(ELSEWHERE)
    for name in names:
        numbers = re.match(r"\d+((_to|_and)?_\d+)*", name)
        assert numbers, name
        parts = [int(number) for number in re.findall(r"\d+", numbers.group())]
        found |= set(range(parts[0], parts[-1] + 1)) if "_to_" in numbers.group() else set(parts)
    assert found == set(range(1, 58)), sorted(set(range(1, 58)) - found)
    assert all((ROOT / command).exists() for command in ELSEWHERE.values())


@pytest.mark.parametrize("degrees", [(1, 1, 0), (1, 1, 1), (1, 1, 2), (2, 2, 2), (1, 2, 3)])
def test_check_01_3j_tensors_of_both_hosts(degrees: tuple[int, int, int]) -> None:
    ours = wigner_3j(*degrees)
    assert abs(np.linalg.norm(ours) - 1) < 1e-14
    assert np.allclose(ours, o3.wigner_3j(*degrees).numpy(), atol=1e-7)
    theirs = np.asarray(e3nn_jax.clebsch_gordan(*degrees))
    assert np.allclose(ours, theirs / np.linalg.norm(theirs), atol=1e-7)


def test_check_04_e3nn_jaxs_grid_is_the_product_times_a_constant() -> None:
    with jax.enable_x64(True):
        problem = products.gaunt(whole(2), whole(2), whole(4), normalization="integral")
        x, y = RANDOM.standard_normal((2, 3, 9))
        f, g = (e3nn_jax.to_s2grid(e3nn_jax.IrrepsArray(whole(2), signal), 6, 9, quadrature="gausslegendre") for signal in (x, y))
        theirs = np.asarray(e3nn_jax.from_s2grid(f * g, e3nn_jax.Irreps(whole(4))).array)
    ours = emit_numpy(plan_tensor_product(problem))(x, y, np.zeros(0))[0]
    for l in range(5):
        place = slice(l * l, (l + 1) ** 2)
        assert np.allclose(theirs[:, place], sqrt(4 * pi) * ours[:, place], atol=1e-6)


def test_check_22_stages_of_a_grid() -> None:
    """At all points at once, by polar angles and then azimuths, and with a Fourier transform for azimuths: the same values."""
    degree, points = 4, grid("gauss-legendre", 12)
    assert points.shape is not None
    polar, azimuths = points.shape
    x = RANDOM.standard_normal((degree + 1) ** 2)
    dense = (spherical_harmonics(degree, points.points) @ x).reshape(polar, azimuths)
    cosines = points.points[::azimuths, 1]
    table = legendre(degree, cosines, np.sqrt(1 - cosines**2))
    orders = {m: sum(x[l * l + l + m] * table[:, l, abs(m)] for l in range(abs(m), degree + 1)) for m in range(-degree, degree + 1)}
    angles = 2 * pi * np.arange(azimuths) / azimuths
    waves = {m: sqrt(2) * (np.cos(m * angles) if m > 0 else np.sin(-m * angles)) if m else np.ones(azimuths) for m in orders}
    assert np.allclose(sum(np.outer(orders[m], waves[m]) for m in orders), dense, atol=1e-13)
    half = np.zeros((polar, azimuths // 2 + 1), complex)
    half[:, 0] = orders[0]
    for m in range(1, degree + 1):
        half[:, m] = (orders[m] - 1j * orders[-m]) / sqrt(2)
    assert np.allclose(np.fft.irfft(half, azimuths, axis=1, norm="forward"), dense, atol=1e-13)


@pytest.mark.parametrize("direction", [(0.3, -0.5, 0.8), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)])
@pytest.mark.parametrize("degrees", [(2, 2, 2), (2, 1, 2), (3, 2, 1), (1, 1, 1)])
def test_check_50_products_with_a_direction_in_its_own_frame(degrees: tuple[int, int, int], direction) -> None:
    """Where the direction is the polar axis, a component meets only those of the same |m|: at the poles and on odd paths too."""
    l1, l2, l3 = degrees
    unit = np.array(direction) / np.linalg.norm(direction)
    tensor, x = wigner_3j(*degrees), RANDOM.standard_normal(2 * l1 + 1)
    expected = np.einsum("ijk,i,j->k", tensor, x, spherical_harmonics(l2, unit[None])[0, l2 * l2 :])
    blocks = np.einsum("ijk,j->ik", tensor, spherical_harmonics(l2, np.array([[0.0, 1.0, 0.0]]))[0, l2 * l2 :])
    orders = [abs(np.arange(-l, l + 1)) for l in (l1, l3)]
    assert abs(blocks[orders[0][:, None] != orders[1]]).max() < 1e-14
    turn = to_polar_axis(unit)
    assert np.allclose(wigner_D(l3, turn).T @ ((wigner_D(l1, turn) @ x) @ blocks), expected, atol=1e-13)


def to_polar_axis(unit: np.ndarray) -> np.ndarray:
    """Axis times angle of a rotation that takes a direction to y, in the axes of `wigner_D`: z, x, y of harmonics of degree 1."""
    axis = np.cross(unit, [0.0, 1.0, 0.0])
    length = np.linalg.norm(axis)
    straight = np.array([1.0, 0.0, 0.0]) * (pi if unit[1] < 0 else 0.0)
    return np.roll(straight if length < 1e-12 else axis / length * np.arctan2(length, unit[1]), 1)


def test_check_52_many_factors_on_one_grid() -> None:
    """Three signals of degree 3, projected to degree 2: 72 points at once, as the chain that truncates nothing."""
    points = grid("gauss-legendre", product_degree(3, 3, 3, 2))
    assert len(points) == 72
    signals = RANDOM.standard_normal((3, 2, 16))
    values = np.prod([signal @ spherical_harmonics(3, points.points).T for signal in signals], axis=0)
    once = (values * points.weights) @ spherical_harmonics(2, points.points)
    chained, degree = signals[0], 3
    for (_, last), signal in zip(pairwise((3, 6, 2)), signals[1:], strict=True):
        problem = products.gaunt(whole(degree), whole(3), whole(last), normalization="integral")
        chained, degree = emit_numpy(plan_tensor_product(problem))(chained, signal, np.zeros(0))[0], last
    assert abs(once - chained).max() < 1e-12


def test_checks_55_and_56_cases_without_a_path_are_refused_and_paths_are_counted() -> None:
    with pytest.raises(ValueError, match="SISO at degree 3: no path"):
        problems("SISO", 3)
    for degree, count in ((1, 5), (2, 14), (3, 30)):
        assert expressivity.of_problem(problems("MIMO", degree)["Clebsch-Gordan"]) == count
        assert expressivity.of_problem(problems("MIMO", degree)["Gaunt"]) == 4 * degree + 1


def test_check_57_noisy_times_are_flagged_and_first_calls_told_apart() -> None:
    row = Row("MIMO", 1, "Gaunt", "gtp-grid", 5, 5, 7, 0.4, {"forward": 1.5, "backward": 2.5}, {"forward": 0.1, "backward": 0.3})
    assert (time(row, "forward"), time(row, "backward"), row.prepare_seconds) == ("1.50", "2.50~", 0.4)


def test_crossovers_are_those_of_the_paper() -> None:
    """Of the grid and the dense Clebsch-Gordan product: degree 2 in MIMO, on both machines; none where one irrep meets one."""
    for device in (RTX, CPU):
        forms = published("MIMO")[device]
        assert crossover(forms["Gaunt, grid"], forms["Clebsch-Gordan, dense"]) == 2
    assert crossover(published("MIMO")[CPU]["vector signal"], published("MIMO")[CPU]["Clebsch-Gordan, dense"]) == 6
    for setting in ("SIMO", "SISO"):
        forms = published(setting)[RTX]
        assert crossover(forms["Gaunt, grid"], forms["Clebsch-Gordan, dense"]) is None


def test_every_product_is_in_the_settings_that_have_it() -> None:
    assert set(problems("MIMO", 2)) == {"Clebsch-Gordan", "Gaunt", "curl", "matrix", "vector signal"} == set(problems("SIMO", 2))
    assert set(problems("SISO", 2)) == {"Clebsch-Gordan", "Gaunt", "matrix"}
