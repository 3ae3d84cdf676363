"""e3j's plain code as a backend: under the gate on real products, and what its layout cannot hold."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from tpregistry.frame import frame
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.gate import Yardstick, verify
from tpregistry.problem import Mode
from tpregistry.testing import real_problems
from tpregistry_e3j import E3j
from tpregistry_e3nn_jax.adapter import Adapter

pytestmark = pytest.mark.xla


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shared", [False, True])
def test_the_gate_accepts_it(dtype: str, shared: bool) -> None:
    """Signs and normalisation of a real model, repeated outputs, shared weights."""
    problem = real_problems(dtype)["nequip with parity"].at(batch=32, shared_weights=shared)
    problem = problem.at(paths=(*problem.paths[:-1], replace(problem.paths[-1], coefficient=-0.3)))
    seam, backend = frame("jax"), E3j()
    assert backend.supports(problem, "cpu").ok
    host = Adapter().host(problem, "cpu")
    found = seam.isolated(lambda: verify(backend.build(problem, "cpu"), Yardstick(problem, host, seam, "cpu")))
    assert found.ok, found.failures


def test_it_leaves_the_settings_of_e3j_alone() -> None:
    from e3j.utils import config

    before = config.state()
    problem = real_problems()["mace layer 1"].at(batch=8)
    sizes = (problem.irreps_in1.dim, problem.irreps_in2.dim, problem.weight_numel)
    jax.block_until_ready(E3j().build(problem, "cpu")(*(jnp.ones((8, size)) for size in sizes)))
    assert config.state() == before


@pytest.mark.parametrize(
    ("operands", "mode", "device", "codes"),
    [
        (("4x0e+2x1o", "0e+1o"), Mode.UVU, "cpu", ["TP125"]),
        (("4x0e+4x1o", "2x0e+2x1o"), Mode.UVU, "cpu", ["TP125"]),
        (("4x0e+4x1o", "0e+1o"), Mode.UVUV, "cpu", ["TP123"]),
        (("3x0e+3x1o", "0e+1o"), Mode.UVU, "cpu", []),
        (("3x0e+3x1o", "0e+1o"), Mode.UVU, "cuda", ["TP125"]),
    ],
)
def test_what_it_cannot_hold_has_reasons(operands: tuple[str, str], mode: Mode, device: str, codes: list[str]) -> None:
    problem = problem_from_irreps(*operands, None, mode, shared_weights=False, dtype="float32")
    assert [reason.code for reason in E3j().supports(problem, device).reasons] == codes
