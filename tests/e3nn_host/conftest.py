"""What the tests of the e3nn adapter share: a product as in message passing, its inputs, and the stock answer."""

from collections.abc import Callable

import pytest
import torch
from e3nn import o3

import tpregistry
from tpregistry_e3nn.adapter import Adapter


@pytest.fixture(autouse=True)
def _always_patched(patched: Adapter) -> None:
    """Every test here runs on a patched e3nn."""


@pytest.fixture(params=["cg-hoist", "cg-llvm"])
def kernel(request: pytest.FixtureRequest) -> str:
    """A backend made of differentiable functions, and one that brings its derivatives."""
    return request.param


MESSAGE = ("8x0e+8x1o+4x2e", "0e+1o+2e", "8x0e+8x1o+8x1o+4x1o+8x2e+4x2e")


@pytest.fixture
def convolution() -> Callable[..., o3.TensorProduct]:
    """A product as in message passing: `uvu`, unsorted, odd and even paths, weights per sample."""

    def make(**kwargs: object) -> o3.TensorProduct:
        instructions = [(0, 0, 0), (0, 1, 1), (1, 0, 2), (2, 1, 3), (1, 1, 4), (2, 2, 5), (1, 1, 0), (2, 1, 3), (1, 2, 1)]
        paths = [(*indices, "uvu", True) for indices in instructions]
        return o3.TensorProduct(*MESSAGE, paths, **({"shared_weights": False, "internal_weights": False} | kwargs))

    return make


def inputs(module: o3.TensorProduct, batch: int, seed: int = 0, **kwargs: object) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = (module.irreps_in1.dim, module.irreps_in2.dim, module.weight_numel)
    return [torch.randn(batch, size, generator=generator, **kwargs) for size in sizes]


def stock(module: o3.TensorProduct, *args: object) -> torch.Tensor:
    with tpregistry.use("off"):
        return module(*args)
