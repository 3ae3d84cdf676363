"""Functions and layers of torch: decisions, equivariance, what is missing, checkpoints."""

import pickle

import numpy as np
import pytest
import torch
from e3nn import o3

import tpregistry
from tests.tiers import first
from tpregistry import products
from tpregistry.irreps import Irreps
from tpregistry.so3 import irreps_matrix
from tpregistry.torch import (
    CompleteGauntTensorProduct,
    CompleteVectorSignalTensorProduct,
    CurlTensorProduct,
    GauntTensorProduct,
    MatrixTensorProduct,
    Product,
    VectorSignalTensorProduct,
    gaunt,
)

IN1, IN2, OUT = "4x0e+3x1o+2x2e", "2x0e+1x1o+1x1e", "3x0e+2x1o+1x2e"
LAYERS = [
    GauntTensorProduct,
    CurlTensorProduct,
    CompleteGauntTensorProduct,
    CompleteVectorSignalTensorProduct,
    VectorSignalTensorProduct,
    MatrixTensorProduct,
]
REACHED = {CurlTensorProduct: "3x1o+1x2e"}


def layer(kind, seed: int = 0):
    torch.manual_seed(seed)
    return kind(IN1, IN2, REACHED.get(kind, OUT), channels=3)


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_turn_with_their_inputs(kind) -> None:
    made, turn = layer(kind).double(), np.array([0.5, -1.2, 0.3])
    x, y = o3.Irreps(IN1).randn(6, -1).double(), o3.Irreps(IN2).randn(6, -1).double()
    irreps = made.irreps_in1, made.irreps_in2, made.irreps_out
    matrices = [torch.from_numpy(irreps_matrix(rep, turn, inversion=True)) for rep in irreps]
    straight = made(x, y)
    assert straight.abs().max() > 0.1
    assert torch.allclose(made(x @ matrices[0].T, y @ matrices[1].T), straight @ matrices[2].T, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_have_unit_variance_at_initialisation(kind) -> None:
    squares = []
    for seed in range(12):
        made = layer(kind, seed)
        squares.append(made(o3.Irreps(IN1).randn(300, -1), o3.Irreps(IN2).randn(300, -1)).detach().square().mean())
    assert 0.4 < float(torch.stack(squares).mean()) < 2.0


@pytest.mark.parametrize("name", ["gtp-grid", "gtp-llvm", "gtp-fourier", "cg-llvm", "off"])
def test_a_layer_runs_on_the_backend_that_is_asked_for(name: str) -> None:
    x, y = o3.Irreps(IN1).randn(32, -1), o3.Irreps(IN2).randn(32, -1)
    expected = layer(GauntTensorProduct)(x, y)
    with tpregistry.use(backend=name):
        found = layer(GauntTensorProduct)(x, y)
    assert torch.allclose(found, expected, atol=1e-5)
    ran = [decision for decision in tpregistry.decisions() if decision.problem.operation == "gaunt"]
    assert ran[-1].backend == ("definition" if name == "off" else name)


def test_a_family_stands_for_its_members() -> None:
    x, y = o3.Irreps(IN1).randn(32, -1), o3.Irreps(IN2).randn(32, -1)
    with tpregistry.use(backend="gtp"):
        layer(GauntTensorProduct)(x, y)
    assert tpregistry.decisions()[-1].backend in ("gtp-grid", "gtp-llvm", "gtp-fourier")


def test_outputs_that_no_path_reaches_are_named() -> None:
    with pytest.raises(ValueError, match=r"GauntTensorProduct of 1x1o and 1x1o never gives 1x1e: .*CompleteGaunt"):
        GauntTensorProduct("1o", "1o", "0e+1e")
    assert CompleteGauntTensorProduct("1o", "1o", "0e+1e")(torch.ones(2, 3), torch.ones(2, 3)).shape == (2, 4)
    with pytest.raises(ValueError, match="CompleteGauntTensorProduct of 1x1o and 1x1o never gives 1x3o"):
        CompleteGauntTensorProduct("1o", "1o", "0e+3o")
    with pytest.raises(ValueError, match=r"VectorSignalTensorProduct of 1x0e and 1x0e never gives 1x0e: .*CompleteVectorSignal"):
        VectorSignalTensorProduct("0e", "0e", "0e")
    assert CompleteVectorSignalTensorProduct("0e", "0e", "0e")(torch.ones(2, 1), torch.ones(2, 1)).abs().min() > 0


DEGREES = (12, 13, 14)


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("backend", ["gtp-grid", "gtp-fourier"])
def test_functions_know_degrees_beyond_those_of_e3nn(degree: int, backend: str) -> None:
    """e3nn's 3j tensors end at degree 11: against the definition, and turned with the inputs."""
    signal, turn = f"0e+1o+{degree}{'eo'[degree % 2]}", np.array([0.5, -1.2, 0.3])
    out = f"0e+1o+{degree}{'eo'[degree % 2]}+{2 * degree}e"
    x, y = (torch.randn(3, 2 * degree + 5, dtype=torch.float64) for _ in range(2))
    matrices = [torch.from_numpy(irreps_matrix(Irreps.parse(rep), turn, inversion=True)) for rep in (signal, out)]
    with tpregistry.use(backend="off"):
        expected = gaunt(x, y, signal, signal, out)
    with tpregistry.use(backend=backend):
        found = gaunt(x, y, signal, signal, out)
        turned = gaunt(x @ matrices[0].T, y @ matrices[0].T, signal, signal, out)
    assert expected.abs().min() > 0
    assert torch.allclose(found, expected, atol=1e-11)
    assert torch.allclose(turned, expected @ matrices[1].T, atol=1e-9)


@pytest.mark.parametrize("degree", first(DEGREES[:2], lambda degree: degree == 12))  # one even, one odd: each takes half a minute
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_know_degrees_beyond_those_of_e3nn(kind, degree: int) -> None:
    """Forward and forces through each layer, whose odd products give the pseudo irrep of the degree."""
    pseudo = kind is CurlTensorProduct
    irreps, out = f"2x1o+2x{degree}{'eo'[degree % 2]}", f"2x{degree}{'eo'[(degree + pseudo) % 2]}"
    made = kind("2x0e+" + irreps, irreps, out).double()
    x, y = (torch.randn(2, o3.Irreps(rep).dim, dtype=torch.float64, requires_grad=True) for rep in ("2x0e+" + irreps, irreps))

    def forces(name: str) -> list[torch.Tensor]:
        with tpregistry.use(backend=name):
            z = made(x, y)
            return [z, *torch.autograd.grad(z.square().sum(), (x, y))]

    family = "mtp" if kind is MatrixTensorProduct else "gtp"
    for found, expected in zip(forces(family), forces("off"), strict=True):
        assert expected.abs().max() > 0
        assert torch.allclose(found, expected, atol=1e-10)


def test_a_checkpoint_of_one_layer_is_none_of_another() -> None:
    state = layer(GauntTensorProduct).state_dict()
    with pytest.raises(RuntimeError, match=r"Missing key.*matrix_product_in1\.weight"):
        layer(MatrixTensorProduct).load_state_dict(state)
    other = layer(GauntTensorProduct, seed=1)
    other.load_state_dict(state)
    x, y = o3.Irreps(IN1).randn(5, -1), o3.Irreps(IN2).randn(5, -1)
    assert torch.equal(other(x, y), layer(GauntTensorProduct)(x, y))


def test_layers_are_pickled_and_compiled() -> None:
    made = layer(GauntTensorProduct)
    x, y = o3.Irreps(IN1).randn(5, -1), o3.Irreps(IN2).randn(5, -1)
    assert torch.equal(pickle.loads(pickle.dumps(made))(x, y), made(x, y))
    assert torch.allclose(torch.vmap(made)(x, y), made(x, y), atol=1e-6)


def test_a_layer_that_was_met_in_inference_mode_trains() -> None:
    made = layer(GauntTensorProduct)
    x, y = o3.Irreps(IN1).randn(7, -1), o3.Irreps(IN2).randn(7, -1)
    for backend in ("off", "gtp-grid", "gtp-fourier"):
        with tpregistry.use(backend=backend):
            with torch.inference_mode():
                made(x, y)
            made(x.requires_grad_(), y).square().sum().backward()


def test_products_broadcast_and_say_what_does_not_fit() -> None:
    x, y = torch.randn(4, 1, 9), torch.randn(5, 9)
    irreps = "0e+1o+2e"
    found = gaunt(x, y, irreps, irreps, irreps)
    assert found.shape == (4, 5, 9)
    assert torch.allclose(found[2, 3], gaunt(x[2], y[3:4], irreps, irreps, irreps)[0], atol=1e-6)
    with pytest.raises(ValueError, match="x and y end in 9 and 8 components"):
        gaunt(x, y[:, :8], irreps, irreps, irreps)
    weighted = products.gaunt(irreps, irreps, irreps)
    weighted = weighted.at(paths=tuple(type(path)(**(vars(path) | {"has_weight": True})) for path in weighted.paths))
    with pytest.raises(ValueError, match="has weights; a Product has none"):
        Product(weighted)


def test_check_53_forces_through_a_product() -> None:
    """Second derivatives of every backend against those of its definition, in float64."""
    x, y = (torch.randn(4, 9, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def second(name: str) -> list[torch.Tensor]:
        with tpregistry.use(backend=name):
            energy = gaunt(x, y, "0e+1o+2e", "0e+1o+2e", "0e+1o+2e").tanh().sum()
            (force,) = torch.autograd.grad(energy, x, create_graph=True)
            return list(torch.autograd.grad(force.square().sum(), (x, y)))

    for name in ("gtp-grid", "gtp-fourier", "cg-llvm"):
        for found, expected in zip(second(name), second("off"), strict=True):
            assert torch.allclose(found, expected, atol=1e-10)
