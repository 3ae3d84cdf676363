"""3j tensors: e3nn's where e3nn has them, right for any degree."""

import numpy as np
import pytest
import torch
from e3nn import o3

from tpregistry.irreps import Irreps
from tpregistry.so3 import irreps_matrix, rounded_wigner_3j, wigner_3j, wigner_D

AXIS_ANGLE = np.array([0.3, -0.7, 1.1])


@pytest.mark.slow
@pytest.mark.parametrize("l1", range(12))
def test_equal_to_e3nn_to_1e14(l1: int) -> None:
    for l2 in range(12):
        for l3 in range(abs(l1 - l2), min(11, l1 + l2) + 1):
            theirs = o3.wigner_3j(l1, l2, l3, dtype=torch.float64).numpy()
            ours = wigner_3j(l1, l2, l3)
            sign = np.sign(np.sum(ours * theirs))  # e3nn 0.4.4 has the other sign on some odd triples
            assert sign == 1 or (l1 + l2 + l3) % 2 == 1
            assert abs(sign * ours - theirs).max() < 1e-14, (l1, l2, l3)


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [(0, 0, 0), (1, 1, 1), (2, 3, 4), (5, 5, 9), (13, 4, 12), (16, 15, 14)])
def test_invariant_under_rotation_and_of_unit_norm(degrees: tuple[int, int, int]) -> None:
    tensor = wigner_3j(*degrees)
    turned = np.einsum("ijk,ai,bj,ck->abc", tensor, *(wigner_D(degree, AXIS_ANGLE) for degree in degrees))
    assert abs(turned - tensor).max() < 1e-13
    assert abs(np.linalg.norm(tensor) - 1) < 1e-14


def test_triangle_rule() -> None:
    with pytest.raises(ValueError, match="triangle rule"):
        wigner_3j(1, 1, 3)


def test_wigner_D_turns_vectors_by_the_right_hand_rule() -> None:
    """Degree 1 in the order m = -1, 0, 1 is (y, z, x): a quarter turn about z takes x to y and y to -x."""
    turn = wigner_D(1, np.array([0.0, 0.0, np.pi / 2]))
    assert abs(turn - np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])).max() < 1e-15


def test_inversion_is_the_parity_of_each_irrep() -> None:
    matrix = irreps_matrix(Irreps.parse("2x0o+1e"), np.zeros(3), inversion=True)
    assert np.array_equal(np.diag(matrix), [-1, -1, 1, 1, 1])


@pytest.mark.parametrize("rounding", ["float32", "bfloat16"])
def test_roundings_are_those_of_torch(rounding: str) -> None:
    exact = torch.from_numpy(wigner_3j(2, 3, 4).copy())
    single = exact.float()
    theirs = (single if rounding == "float32" else single.bfloat16()).double().numpy()
    assert np.array_equal(rounded_wigner_3j(2, 3, 4, rounding), theirs)
