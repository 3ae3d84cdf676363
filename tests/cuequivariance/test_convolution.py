"""Convolutions by cuequivariance's own indices in torch, under the gate; in JAX see tests/jax/test_convolution.py."""

import pytest
import torch

from tests.e3nn_host.test_convolution import test_energies_forces_and_training_are_those_of_e3nn as same_as_e3nn
from tests.test_gate import yardstick
from tpregistry.building import build
from tpregistry.gate import verify
from tpregistry.testing import real_problems, zoo

pytest.importorskip("cuequivariance_torch", reason="cuequivariance is not installed: pip install 'tpregistry[cuequivariance]'")

from tpregistry_cuequivariance import Cuequivariance

SMALL = [name for name in zoo("float64") if not name.startswith("real")]
PROBLEMS = [("float64", name) for name in SMALL] + [("float32", name) for name in SMALL[::3]]


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "name"), PROBLEMS)
def test_the_gate(dtype: str, name: str) -> None:
    """Edges in no order, some of them twice, nodes without any, no edge at all, more senders than receivers."""
    problem = zoo(dtype)[name].convolution(16).at(batch=64)
    evidence = verify(build(Cuequivariance(), problem, "cpu", "torch"), yardstick(problem))
    assert evidence.ok, evidence.failures


def test_it_is_no_product_between_gather_and_sum() -> None:
    problem = real_problems()["mace layer 1"].convolution(16)
    assert build(Cuequivariance(), problem, "cpu", "torch").engine == "naive"


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_forced_in_a_program(kind: torch.dtype) -> None:
    same_as_e3nn("cuequivariance", kind)
