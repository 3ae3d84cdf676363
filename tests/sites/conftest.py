"""The host in small as a site, patched; and what goes into its block."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import tpregistry
from tests.sites import host
from tpregistry.torch.sites import Site, digest
from tpregistry_e3nn.adapter import Adapter

NODES, EDGES = 12, 90
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class BlockSite(Site):
    """As an adapter writes one."""

    target = "tests.sites.host:Block.forward"
    functions = ("tests.sites.host:collect",)
    digests = frozenset([digest(host.Block.forward, host.collect)])

    def product(self, module: Any) -> Any:
        return module.tp

    def left(self, module: Any) -> str | None:
        return "fused already" if module.fused else None

    def forward(self, module: Any, x: Any, y: Any, length: Any, edges: Any) -> Any:
        weight = module.radial(length)

        def own() -> Any:
            return host.collect(module.tp(x[edges[0]], y, weight), edges[1], x.shape[0])

        return self.convolve(module.tp, own, x, y, weight, edges[0], edges[1], x.shape[0]) / 3.0


@pytest.fixture
def site(patched: Adapter) -> Iterator[BlockSite]:
    """A patched host."""
    found = BlockSite()
    assert found.patch() is None
    yield found
    found.unpatch()


@pytest.fixture
def block(site: BlockSite) -> host.Block:
    torch.manual_seed(0)
    return host.Block()


def edges(nodes: int = NODES, count: int = EDGES, seed: int = 1) -> torch.Tensor:
    """In no order; the last node has none."""
    return torch.randint(0, nodes - 1, (2, count), generator=torch.Generator().manual_seed(seed))


def inputs(index: torch.Tensor | None = None, nodes: int = NODES, dtype: torch.dtype = torch.float32) -> Inputs:
    """x, y and length, of which gradients are wanted, and edges."""
    index = edges() if index is None else index
    generator = torch.Generator().manual_seed(0)
    shapes = (nodes, 32), (index.shape[1], 9), (index.shape[1], 4)
    x, y, length = (torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes)
    return x, y, length, index


def trained(module: torch.nn.Module, given: Inputs) -> list[torch.Tensor]:
    """The output, forces, and the gradients of a loss on forces by operands and parameters."""
    out = module(*given)
    force = torch.autograd.grad(out.square().sum(), given[:3], create_graph=True)
    loss = sum((one.square().sum() for one in force), out.sum())
    wanted = [*given[:3], *module.parameters()]
    return [out, *force, *torch.autograd.grad(loss, wanted)]  # type: ignore[arg-type]


def compare(found: list[torch.Tensor], expected: list[torch.Tensor], within: float) -> None:
    for one, other in zip(found, expected, strict=True):
        scale = float(other.detach().abs().max()) if other.numel() else 0.0
        torch.testing.assert_close(one, other, rtol=0, atol=within * max(scale, 1e-3))


def stock(compute: Callable[[], Any]) -> Any:
    with tpregistry.use("off"):
        return compute()


def convolutions() -> int:
    """Calls of fused convolutions."""
    return sum(d.calls for d in tpregistry.decisions() if d.problem.convolves and d.kernel)
