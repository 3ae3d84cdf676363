"""cg-triton compiled for GPUs that are not there: registers, spills, length of kernels; computed by tests/interpreted."""

from __future__ import annotations

import pytest
import torch

from tests.cg.test_convolution import convolution
from tpregistry.plan import plan_tensor_product
from tpregistry.testing import real_problems, zoo
from tpregistry_cg import CgTriton
from tpregistry_cg.triton.kernel import TritonPlan
from tpregistry_cg.triton.passes import BUDGET
from tpregistry_cg.triton.resources import resources


def test_it_is_for_gpus() -> None:
    problem = zoo("float32")["both parities"]
    assert [reason.code for reason in CgTriton().supports(problem, "cpu").reasons] == ["TP120"]
    assert CgTriton().supports(problem, "cuda").ok


@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize("convolves", [False, True])
def test_nothing_spills(architecture: int, convolves: bool) -> None:
    """The ten paths of a MACE, to second gradients; others by benchmarks/triton_resources.py."""
    problem = real_problems()["mace-mp-0 medium layer 2"]
    kernel = TritonPlan(plan_tensor_product(convolution(problem) if convolves else problem), torch.float32)
    for _ in range(3):
        for found in resources(kernel, architecture):
            assert 0 < found.registers <= 255
            assert found.spilled == 0, found
        kernel = kernel.vjp()


def test_long_kernels_are_split() -> None:
    kernel = TritonPlan(plan_tensor_product(real_problems()["sevennet-l3i5 inner"]).vjp(), torch.float32)
    assert len(kernel.emitted.passes) > 1
    assert sum(len(b.pairs) * len(b.uses) for group in kernel.schedule.groups for b in group) > BUDGET
