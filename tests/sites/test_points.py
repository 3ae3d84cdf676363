"""e3nn's own network of points: its convolutions are fused, its numbers stay."""

from collections.abc import Iterator

import pytest
import torch
from e3nn.nn.models.v2106.points_convolution import Convolution

import tpregistry
from tests.sites.conftest import NODES, compare, convolutions, edges, stock
from tpregistry_e3nn.models import Adapter


@pytest.fixture(autouse=True)
def _sites(patched: object) -> Iterator[None]:
    adapter = Adapter()
    adapter.patch()
    assert not tpregistry.decisions().out_of_reach
    yield
    adapter.unpatch()


def test_energies_forces_and_training() -> None:
    torch.manual_seed(0)
    layer = Convolution("4x0e+4x1o", "2x0e", "0e+1o", "4x0e+4x1o", [3, 8], 6.0).double()
    torch.nn.init.normal_(layer.alpha.weight)  # zero at first, which would hide the convolution
    source, target = edges()
    shapes = (NODES, 16), (NODES, 2), (len(source), 4), (len(source), 3)
    x, attributes, y, scalars = (torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes)

    def trained() -> list[torch.Tensor]:
        out = layer(x, attributes, source, target, y, scalars)
        force = torch.autograd.grad(out.square().sum(), [x, y, scalars], create_graph=True)
        loss = sum((one.square().sum() for one in force), out.sum())
        return [out, *force, *torch.autograd.grad(loss, [x, y, scalars, *layer.parameters()])]  # type: ignore[arg-type]

    with tpregistry.use("cg-llvm,e3nn"):
        found = trained()
    compare(found, stock(trained), 1e-9)
    assert convolutions() == 1
