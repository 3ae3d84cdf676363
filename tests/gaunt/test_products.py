"""Products of signals: their definitions, and every backend of each through the gate."""

import numpy as np
import pytest
import torch
from e3nn import o3
from tpregistry_gaunt import GtpFourier, GtpGrid, GtpLlvm, GtpSeparable, GtpSeparableFft, Mtp

import tpregistry
from tests.tiers import first
from tpregistry import products
from tpregistry.building import build
from tpregistry.cli.comparison import compared
from tpregistry.frame import frame
from tpregistry.hosts import host_for
from tpregistry.many_body import gaunt_many_body
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.problem import Problem
from tpregistry.products import vector_irreps
from tpregistry.so3.couplings import vector_coupling
from tpregistry.so3.grids import grid, half
from tpregistry.so3.harmonics import spherical_harmonics
from tpregistry.so3.symbols import vector_signal
from tpregistry.store import Outcome
from tpregistry.testing import zoo
from tpregistry.testing.conformance import examine
from tpregistry.torch import gaunt
from tpregistry_cg import CgDense, CgHoist, CgLlvm

NATURAL = "3x0e+3x1o+3x2e"
BOTH = "2x0e+2x0o+2x1o+2x1e+2x3o"
WIDE, WIDER = "2x0e+2x1o+2x4e", "2x0e+2x5o+2x2e"
FIELD = str(vector_irreps(2, 2))
FIELDS = f"{vector_irreps(1, 2)}+{vector_irreps(1, 2, axial=True)}"
PRODUCTS = {
    "gaunt": [(NATURAL, NATURAL, NATURAL), (BOTH, BOTH, "2x0o+2x1e+2x2e+2x4o"), ("4x2e", "4x1o+4x1o", "4x3o+4x1o")],
    "curl": [(NATURAL, NATURAL, "3x1e+3x2o"), (BOTH, BOTH, BOTH)],
    "matrix_product": [(NATURAL, NATURAL, "3x0e+3x1o+3x1e+3x4e"), (BOTH, BOTH, BOTH)],
    "vector_signal": [(FIELD, FIELD, str(vector_irreps(1, 2, axial=True))), (FIELDS, FIELDS, FIELDS)],
}
CASES = [(operation, irreps) for operation, found in PRODUCTS.items() for irreps in found]
RINGS = [GtpSeparable, GtpSeparableFft]
BACKENDS = {
    "gaunt": [GtpGrid, *RINGS, GtpLlvm, GtpFourier, CgLlvm, CgHoist],
    "curl": [GtpGrid, *RINGS, GtpLlvm, GtpFourier, CgLlvm, CgDense],
    "vector_signal": [GtpGrid, *RINGS, GtpLlvm, CgLlvm],
    "matrix_product": [Mtp, CgLlvm],
}
EVERY = [(*case, backend) for case in CASES for backend in BACKENDS[case[0]]]


def problem_of(operation: str, irreps: tuple[str, str, str], **options: str) -> Problem:
    return getattr(products, operation)(*irreps, **options)


def gated(backend, problem: Problem) -> None:
    outcome = examine(backend, problem.at(batch=64), host_for(problem, "torch", "cpu"), frame("torch"), "cpu")
    assert outcome.state is Outcome.OK, outcome


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("operation", "irreps", "backend"), EVERY)
def test_checks_24_to_26_backends_pass_the_gate(operation: str, irreps: tuple[str, str, str], backend, dtype: str) -> None:
    """Rotations and inversion; batches of 0 and 1, strides; derivatives to order 2."""
    gated(backend(), problem_of(operation, irreps, dtype=dtype))


STAGES = {
    "gaunt": products.gaunt(WIDE, WIDE, WIDER, dtype="float64"),
    "one degree": products.gaunt("2x3o", "2x2e", "2x5o+2x1o", dtype="float64"),
    "curl": products.curl(WIDE, WIDE, "2x1e+2x2o+2x5o", dtype="float64"),
    "vector signal": products.vector_signal(FIELDS, FIELDS, FIELDS, dtype="float64"),
    "powers": gaunt_many_body(WIDE, WIDER, 3, "float64"),
}


@pytest.mark.parametrize("name", STAGES)
def test_check_22_and_23_all_points_at_once_or_rings_or_their_fourier_transform(name: str) -> None:
    """Points of a Lebedev grid are others than those of the rings, and half of them are left out of both."""
    problem = STAGES[name]
    x, y = (torch.randn(3, rep.dim, dtype=torch.float64) for rep in (problem.irreps_in1, problem.irreps_in2))
    expected, *found = (backend().build(problem, "cpu")(x, y, torch.zeros(0)) for backend in (GtpGrid, *RINGS))
    assert expected.abs().max() > 0.01
    for each in found:
        assert torch.allclose(each, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


ZOO = {name: problem for name, problem in zoo("float64").items() if "rounded" not in name}
EXACT = first([name for name in ZOO if not name.startswith("real") or "inner" in name], lambda name: "XL" not in name)
"""NequIP's largest product takes minutes through fields."""


@pytest.mark.slow
@pytest.mark.parametrize("backend", [GtpGrid, GtpFourier])
@pytest.mark.parametrize("name", EXACT)
def test_clebsch_gordan_products_through_fields_pass_the_gate(name: str, backend) -> None:
    """At points of the sphere, and as waves on a torus."""
    gated(backend(), ZOO[name])


@pytest.mark.slow
def test_rings_are_tried_on_request_where_they_were_slower() -> None:
    low, high = (products.gaunt(f"0e+{l}e", f"0e+{l}e", "0e") for l in (2, 12))
    assert "at every degree to 10" in GtpSeparable().supports(low, "cpu").on_request
    assert not GtpSeparableFft().supports(high, "cpu").on_request
    assert not GtpSeparable().supports(low, "cuda").on_request
    x, irreps = torch.randn(5, 6), ("0e+2e", "0e+2e", "0e")
    expected = gaunt(x, x, *irreps)
    assert not tpregistry.decisions()[-1].backend.startswith("gtp-separable")
    with tpregistry.use(backend="gtp-separable"):
        assert torch.allclose(gaunt(x, x, *irreps), expected, atol=1e-5)
    assert tpregistry.decisions()[-1].backend == "gtp-separable"


def test_where_points_never_win_they_are_tried_on_request_only() -> None:
    usual, high = ZOO["outputs shared by paths"], ZOO["degree 8"]
    assert "below degree 8" in GtpGrid().supports(usual, "cpu").on_request
    assert not GtpGrid().supports(high, "cpu").on_request
    assert GtpFourier().supports(high, "cpu").on_request
    (resolution,) = tpregistry.explain(usual)
    assert "gtp-grid" not in resolution.foresee(may_measure=True).order
    with tpregistry.use(backend="gtp"):
        (resolution,) = tpregistry.explain(usual)
        assert set(resolution.foresee(may_measure=True).order) == {"gtp-grid", "gtp-fourier"}


@pytest.mark.slow
def test_the_tradeoff_leaves_out_what_is_tried_on_request_only() -> None:
    (resolution,) = tpregistry.explain(ZOO["outputs shared by paths"].at(derivatives=0))
    every = {entry.backend for entry in compared(resolution, 8, 1).entries}
    assert every - {entry.backend for entry in compared(resolution, 8, 1, hopeless=False).entries} == {"gtp-grid", "gtp-fourier"}


def run(problem: Problem, backend=None):
    """x, y in float64 and their product."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(5, rep.dim, generator=generator, dtype=torch.float64) for rep in (problem.irreps_in1, problem.irreps_in2))
    double = problem.at(dtype="float64")
    out = build(backend or GtpGrid(), double, "cpu", "torch")(x, y, torch.zeros(0, dtype=torch.float64))
    return x, y, out


def test_check_13_gaunts_product_is_the_product_of_functions() -> None:
    """Where the output has every degree, its function is the product of theirs, at any point."""
    irreps = o3.Irreps.spherical_harmonics(3)
    out = o3.Irreps.spherical_harmonics(6)
    x, y, z = run(products.gaunt(str(irreps), str(irreps), str(out), normalization="integral"))
    points = np.random.default_rng(0).standard_normal((9, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    values = [signal.numpy() @ spherical_harmonics(degree, points).T for signal, degree in ((x, 3), (y, 3), (z, 6))]
    assert np.allclose(values[0] * values[1], values[2], atol=1e-13)


def test_plans_of_products_are_their_masked_clebsch_gordan_form() -> None:
    """Must show 2: waves, points and paths agree to 1e-12, the plan's slow NumPy among them."""
    for degrees in ((1, 1, 2), (3, 3, 3), (6, 6, 6), (4, 3, 5)):
        irreps = [str(o3.Irreps.spherical_harmonics(degree)) for degree in degrees]
        problem = products.gaunt(irreps[0], irreps[1], irreps[2])
        x, y, out = run(problem)
        masked = emit_numpy(plan_tensor_product(problem))(x.numpy(), y.numpy(), np.zeros(0))[0]
        for found in (out, run(problem, GtpFourier())[2]):
            assert abs(found.numpy() - masked).max() < 1e-12 * abs(masked).max()


@pytest.mark.parametrize("operation", ["gaunt", "curl", "matrix_product", "vector_signal"])
def test_outputs_have_unit_variance(operation: str) -> None:
    irreps = FIELDS if operation == "vector_signal" else BOTH
    problem = problem_of(operation, (irreps, irreps, irreps), dtype="float64")
    x, y = (torch.randn(4000, rep.dim, dtype=torch.float64) for rep in (problem.irreps_in1, problem.irreps_in2))
    backend = Mtp() if operation == "matrix_product" else GtpGrid()
    out = build(backend, problem, "cpu", "torch")(x, y, x.new_zeros(0))
    reached = {path.i_out for path in problem.paths}
    for number, (place, item) in enumerate(zip(problem.irreps_out.slices(), problem.irreps_out, strict=True)):
        variance = float(out[:, place].square().mean())
        assert abs(variance - (number in reached)) < 0.15, item


@pytest.mark.parametrize("largest", [2, 4, 6])
def test_check_21_float32(largest: int) -> None:
    irreps = str(o3.Irreps.spherical_harmonics(largest))
    problem = products.gaunt(irreps, irreps, irreps)
    x, y, expected = run(problem)
    for backend in (GtpGrid(), GtpFourier()):
        found = build(backend, problem, "cpu", "torch")(x.float(), y.float(), torch.zeros(0)).double()
        assert float((found - expected).norm() / expected.norm()) <= 1e-6


@pytest.mark.parametrize("kind", ["gauss-legendre", "lebedev", "equiangular"])
@pytest.mark.parametrize("degree", [2, 5, 8, 9])
def test_check_23_half_a_grid_does_for_even_functions(kind: str, degree: int) -> None:
    """And it has half of the points, none of them opposite to another."""
    points = half(kind, degree)
    values = spherical_harmonics(degree, points.points)
    even = [l * l + n for l in range(0, degree + 1, 2) for n in range(2 * l + 1)]
    assert np.allclose(points.weights @ values[:, even], np.eye(1, len(even)) * np.sqrt(4 * np.pi), atol=1e-12)
    assert 2 * len(points) >= len(grid(kind, degree))
    assert (np.linalg.norm(points.points[:, None] + points.points, axis=-1) > 1e-6).all()


def test_fewer_points_than_published() -> None:
    """Degrees 3, 3 -> 3: 98 points in the paper, 50 of Gauss and Legendre at the exact bound, 38 of Lebedev, 19 of them."""
    assert (7 * 14, len(grid("gauss-legendre", 9)), len(grid("lebedev", 9)), len(half("lebedev", 9))) == (98, 50, 38, 19)


@pytest.mark.slow
def test_check_35_vector_signals_have_the_coefficients_of_the_generalised_formula() -> None:
    """Up to signs: the formula is written for complex harmonics. In a 3j tensor of unit norm CG is sqrt(2 j + 1) times it."""
    ones = (1, 1, 1)
    for l1, l2, l3 in np.ndindex(3, 3, 4):
        for j1, j2, j3 in np.ndindex(4, 4, 5):
            degrees, j = (l1, l2, l3), (j1, j2, j3)
            if all(abs(l - 1) <= total <= l + 1 for l, total in zip(degrees, j, strict=True)):
                closed = vector_signal(ones, degrees, j) * np.sqrt(2 * j3 + 1) * np.sqrt(2)
                assert abs(abs(vector_coupling(degrees, j)) - abs(closed)) < 1e-13, (degrees, j)


def test_check_54_gaunts_product_as_e3nns_tensor_product() -> None:
    """Path weights c^2 for no normalisation of irreps, c^2 / (2 l + 1) for `component`; c^2 there is another product."""
    irreps = str(o3.Irreps.spherical_harmonics(2))
    problem = products.gaunt(irreps, irreps, irreps, normalization="integral")
    x, y, expected = run(problem)

    def e3nns(normalization: str, divide: bool) -> torch.Tensor:
        weights = [path.coefficient**2 / (2 * problem.irreps_out[path.i_out].l + 1 if divide else 1) for path in problem.paths]
        paths = [(p.i_in1, p.i_in2, p.i_out, "uuu", False, weight) for p, weight in zip(problem.paths, weights, strict=True)]
        options = {"irrep_normalization": normalization, "path_normalization": "none"}
        return o3.TensorProduct(irreps, irreps, irreps, paths, **options).double()(x, y)

    assert torch.allclose(e3nns("none", divide=False), expected, atol=1e-7)
    assert torch.allclose(e3nns("component", divide=True), expected, atol=1e-7)
    assert not torch.allclose(e3nns("component", divide=False), expected, atol=1e-2)


def test_irreps_that_are_no_signals_are_refused() -> None:
    with pytest.raises(ValueError, match=r"as many copies, but there are \[2, 3\]"):
        products.gaunt("2x0e", "3x0e", "2x0e")
    with pytest.raises(ValueError, match="no field of vectors"):
        products.vector_signal("0e+1o", "0e+1o", "0e")
    with pytest.raises(ValueError, match="use one of integral, component"):
        products.gaunt("0e", "0e", "0e", normalization="norm")


def test_other_coefficients_are_refused_with_the_reason() -> None:
    problem = products.gaunt(NATURAL, NATURAL, NATURAL)
    first, *rest = problem.paths
    changed = problem.at(paths=(first.__class__(**(vars(first) | {"coefficient": 2 * first.coefficient})), *rest))
    (reason,) = GtpGrid().supports(changed, "cpu").reasons
    assert reason.code == "TP125"
    assert "are not those of gaunt" in str(reason)
    assert GtpGrid().supports(problem, "cpu").ok
