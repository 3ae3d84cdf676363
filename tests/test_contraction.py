"""Symmetric contractions as problems: what is read off dense tensors, what a problem holds, and the definition."""

import json

import numpy as np
import pytest
import torch

from tests.contractions import contraction, coupled, of_tensors
from tpregistry import contraction as module
from tpregistry.contraction import symmetric_contraction, table, table_of
from tpregistry.definition.contraction import ContractionKernel
from tpregistry.errors import TPError
from tpregistry.irreps import Irreps
from tpregistry.problem import Powers, Problem


def dense(tensors, channels: int, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """As it is written, tensor by tensor: x (nodes, channels, d)."""
    outs, start = [], 0
    for irrep in tensors:
        total = np.zeros((len(x), channels, len(irrep[0])))
        for tensor in irrep:
            weights = w[:, start : start + tensor.shape[-1]]
            start += tensor.shape[-1]
            value = np.einsum("k...p,zpc,nz->nck...", tensor, weights, y)
            while value.ndim > 3:
                value = np.einsum("nck...i,nci->nck...", value, x)
            total += value
        outs.append(total.reshape(len(x), -1))
    return np.concatenate(outs, axis=1)


@pytest.mark.parametrize("correlation", [1, 2, 3])
def test_monomials_of_tensors_that_are_not_symmetric(correlation: int) -> None:
    """Drawn, most of them zero, of irreps that repeat and do not start with a scalar."""
    generator = np.random.default_rng(correlation)
    signal, out, channels, elements = Irreps.parse("1o+0e+1o"), Irreps.parse("1o+0e"), 3, 2
    tensors = [
        [
            generator.standard_normal(shape) * (generator.random(shape) < 0.2)
            for shape in ((2 * item.l + 1, *[7] * n, n + 1) for n in range(1, correlation + 1))
        ]
        for item in out
    ]
    problem = of_tensors(tensors, signal, out, channels, elements)
    x, y = generator.standard_normal((5, channels, 7)), generator.standard_normal((5, elements))
    w = generator.standard_normal((elements, problem.weight_numel // elements // channels, channels))
    found = ContractionKernel(problem, "cpu", "torch")(*map(torch.from_numpy, (x.reshape(5, -1), y, w.ravel())))
    np.testing.assert_allclose(found.numpy(), dense(tensors, channels, x, y, w), atol=1e-12)


def test_what_meets_the_same_monomial_is_added_up() -> None:
    tensor = np.zeros((1, 2, 2, 1))
    tensor[0, 0, 1], tensor[0, 1, 0], tensor[0, 1, 1] = 1.0, 2.0, 4.0
    found = table([[np.zeros((1, 2, 1)), tensor]])
    assert (found.factors, found.paths.tolist(), found.values.tolist()) == (((0, 1), (1, 1)), [1, 1], [3.0, 4.0])
    assert len(found) == 2


def test_a_problem_is_a_small_json_and_tells_coefficients_apart() -> None:
    problem = contraction("0e+1o+2e+3o", "0e+1o", 3, channels=128, elements=89)
    text = json.dumps(problem.to_json())
    assert Problem.from_json(json.loads(text)) == problem
    assert len(text) < 1000
    assert "correlation 3" in str(problem)
    signal, out = Irreps.parse("0e+1o"), Irreps.parse("0e")
    tensors = coupled(signal, out, 2)
    one = of_tensors(tensors, signal, out, 2, 1)
    tensors[0][1] = tensors[0][1] * (1 + 1e-15)
    assert of_tensors(tensors, signal, out, 2, 1).digest != one.digest


def test_other_problems_keep_their_json() -> None:
    data = contraction("0e+1o", "0e", 2).to_json()
    assert data["powers"]["paths"] == ((1, 2),)
    assert "powers" not in Problem(Irreps(()), Irreps(()), Irreps(()), (), True).to_json()


def test_a_table_that_nobody_has_read_is_an_error(monkeypatch) -> None:
    problem = contraction("0e+1o", "0e", 2)
    monkeypatch.setattr(module, "_tables", {})
    with pytest.raises(TPError, match="load the model that they come from"):
        table_of(problem)


@pytest.mark.parametrize(
    "change",
    [
        {"powers": None},
        {"operation": "tensor_product"},
        {"irreps_in2": Irreps.parse("2x1o")},
        {"irreps_in1": Irreps.parse("4x0e+2x1o")},
        {"powers": Powers(((1, 2), (1, 2)), "")},
        {"powers": Powers(((),), "")},
    ],
)
def test_what_is_no_contraction_is_refused(change) -> None:
    with pytest.raises(ValueError, match=r"powers|copies|elements"):
        contraction("0e+1o", "0e", 2).at(**change)


def test_tensors_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="has shape"):
        symmetric_contraction(Irreps.parse("2x0e+2x1o"), Irreps.parse("2x0e"), 1, [[np.ones((1, 3, 1))]])
