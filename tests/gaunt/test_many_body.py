"""Many factors on one grid, and the contraction made of them."""

import numpy as np
import pytest
import torch

from tpregistry.so3 import irreps_matrix
from tpregistry.torch import GauntSymmetricContraction, gaunt, gaunt_many_body

IN, OUT = "3x0e+3x1o+3x2e+3x3o", "3x0e+3x1o+3x2e"
SIGNAL = "+".join(f"3x{l}{'eo'[l % 2]}" for l in range(7))


def test_one_grid_is_the_chain_that_truncates_nothing() -> None:
    x = torch.randn(5, 48, dtype=torch.float64)
    one, two, three = gaunt_many_body(x, 3, IN, OUT)
    assert torch.allclose(one, x[:, : one.shape[1]], atol=1e-12)
    square = gaunt(x, x, IN, IN, SIGNAL, "integral")
    assert torch.allclose(two, square[:, : two.shape[1]], atol=1e-12)
    assert torch.allclose(three, gaunt(square, x, SIGNAL, IN, OUT, "integral"), atol=1e-12)


def test_the_contraction_turns_with_its_input_and_knows_elements() -> None:
    made = GauntSymmetricContraction(IN, OUT, correlation=3, num_elements=2).double()
    x, elements = torch.randn(6, 48, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1, 0])
    turn = np.array([0.4, 0.2, -0.9])
    matrices = [torch.from_numpy(irreps_matrix(rep, turn, inversion=True)) for rep in (made.irreps_in, made.irreps_out)]
    assert torch.allclose(made(x @ matrices[0].T, elements), made(x, elements) @ matrices[1].T, atol=1e-11)
    assert not torch.allclose(made(x, elements), made(x, 1 - elements))
    assert sorted(made.state_dict()) == ["gaunt_weight"]


def test_its_outputs_have_about_unit_variance() -> None:
    made = GauntSymmetricContraction("16x0e+16x1o+16x2e", "16x0e+16x1o", correlation=3, num_elements=20)
    out = made(torch.randn(4000, 144), torch.randint(20, (4000,)))
    assert 0.6 < float(out.detach().square().mean()) < 1.6


def test_irreps_that_are_no_signal_are_refused() -> None:
    for irreps in ("8x0e+8x1e", "8x0e+4x1o", "8x1o+8x1o", ""):
        with pytest.raises(ValueError, match="use natural irreps"):
            gaunt_many_body(torch.zeros(1, 1), 2, irreps, "8x0e")
    with pytest.raises(ValueError, match="as many copies out as in"):
        GauntSymmetricContraction("8x0e", "4x0e", 2, 1)
