"""Tables of fields: what vanishes by symmetry is zero in them to the last bit, and nothing else is."""

import numpy as np
import pytest
import torch
from tpregistry_gaunt import GtpFourier, GtpGrid
from tpregistry_gaunt.forms import Curl, Gaunt, VectorSignal
from tpregistry_gaunt.tables import decoders, encoders
from tpregistry_gaunt.waves import CurlWaves, Waves

from tpregistry.building import build
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.problem import Mode

TRUE = 1e-9
"""The smallest true entry to degree 10 is 1.4e-9 of the largest of its irrep."""


@pytest.mark.parametrize("kind", [Gaunt, Curl, VectorSignal, Waves, CurlWaves])
def test_tables_have_no_noise(kind) -> None:
    form = kind((6, 6, 6))
    for degree in range(1, 7):
        for table in encoders(form, [(degree, degree)]), decoders(form, [(degree, degree)], [0.5]):
            size = abs(table) / abs(table).max()
            assert np.all((size == 0) | (size > TRUE)), size[size > 0].min()
            assert np.any(size == 0)


@pytest.mark.parametrize("backend", [GtpGrid, GtpFourier])
def test_the_product_of_two_axes_is_the_third(backend) -> None:
    problem = problem_from_irreps("1o", "1o", "1e", Mode.UUU, shared_weights=True, dtype="float32")
    x, y, weight = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 1.0, 0]]), torch.ones(1)
    out = build(backend(), problem, "cpu", "torch")(x, y, weight)[0]
    assert out[:2].tolist() == [0.0, 0.0]
    assert out[2].item() == pytest.approx(0.5**0.5, rel=1e-6)
