"""A site gives the numbers of its host: energies, forces and training on forces, on graphs of every kind."""

import pytest
import torch

import tpregistry
from tests.sites.conftest import EDGES, NODES, compare, convolutions, edges, inputs, stock, trained
from tests.sites.host import Block

WITHIN = {torch.float64: 1e-9, torch.float32: 1e-4}


def several() -> torch.Tensor:
    """Three graphs side by side, the second without an edge."""
    return torch.cat([edges(4, 20), edges(4, 25, seed=2) + 8], dim=1)


GRAPHS = {
    "in no order": edges(),
    "by receiver": edges()[:, edges()[1].argsort()],
    "by sender": edges()[:, edges()[0].argsort()],
    "swapped": edges().flip(0),
    "many nodes without edges": edges(3),
    "several graphs": several(),
    "one edge": edges(count=1),
    "every other column": torch.stack([edges(), edges()], dim=2).flatten(1)[:, ::2],
    "a node to itself": torch.zeros(2, 30, dtype=torch.int64),
}


@pytest.mark.parametrize("dtype", WITHIN)
@pytest.mark.parametrize("kind", GRAPHS)
def test_graphs(kind: str, dtype: torch.dtype, block: Block) -> None:
    block.to(dtype)
    given = inputs(GRAPHS[kind], dtype=dtype)
    expected = stock(lambda: trained(block, given))
    with tpregistry.use("cg-llvm"):
        compare(trained(block, given), expected, WITHIN[dtype])
    assert convolutions() == 1


@pytest.mark.parametrize("backend", ["auto", "cg-hoist", "cg-dense", "e3nn"])
def test_backends(backend: str, block: Block) -> None:
    given = inputs(dtype=torch.float64)
    block.double()
    with tpregistry.use(backend, budget=2):
        found = trained(block, given)
    compare(found, stock(lambda: trained(block, given)), 1e-9)
    assert any(decision.problem.convolves for decision in tpregistry.decisions())


def test_a_graph_that_is_another_at_each_call(block: Block) -> None:
    """Also where a program writes new neighbours into the array that it keeps."""
    index = edges()
    given = inputs(index)
    with tpregistry.use("cg-llvm"):
        for seed in range(4):
            index.copy_(edges(seed=seed))
            torch.testing.assert_close(block(*given), stock(lambda: block(*given)), atol=1e-5, rtol=1e-5)
        for count in (EDGES, EDGES + 1, 2, 400):
            other = inputs(edges(count=count))
            torch.testing.assert_close(block(*other), stock(lambda other=other: block(*other)), atol=1e-5, rtol=1e-5)
    assert convolutions() == 8


HOSTS_OWN = {
    "no edges": (inputs(edges(count=0)), "empty batch"),
    "16 bits": (inputs(dtype=torch.bfloat16), "convolution: sums of 16 bits"),
    "counted from the end": (
        inputs(torch.stack([edges()[0] - NODES, edges()[1]])),
        "convolution: a graph that kernels do not take",
    ),
}


@pytest.mark.parametrize("kind", HOSTS_OWN)
def test_what_only_the_host_does(kind: str, block: Block) -> None:
    given, reason = HOSTS_OWN[kind]
    block.to(given[0].dtype)
    with tpregistry.use("cg-hoist" if kind == "16 bits" else "cg-llvm"):
        found = block(*given)
    assert tpregistry.decisions().left_to_host == {reason: 1}
    assert convolutions() == 0
    within = {"atol": 1e-5, "rtol": 1e-5} if kind != "16 bits" else {"atol": 5e-2, "rtol": 5e-2}
    torch.testing.assert_close(found, stock(lambda: block(*given)), **within)


def _wrong() -> dict[str, tuple[torch.Tensor, ...]]:
    x, y, length, index = inputs()
    far = index.clone()
    far[0, 0] = NODES
    return {
        "a node that is not there": (x, y, length, far),
        "an edge too many": (x, y[:-1], length, index),
        "too few columns": (x[:, :-1], y, length, index),
        "another dtype": (x.double(), y, length, index),
        "floating indices": (x, y, length, index.double()),
        "indices of 32 bits": (x, y, length, index.int()),
    }


@pytest.mark.parametrize("kind", _wrong())
def test_mistakes_raise_what_the_host_raises(kind: str, block: Block) -> None:
    given = _wrong()[kind]
    with pytest.raises(Exception) as expected:  # noqa: PT011
        stock(lambda: block(*given))
    with pytest.raises(expected.type) as found, tpregistry.use("cg-llvm"):
        block(*given)
    assert str(found.value) == str(expected.value)
    with tpregistry.use("cg-llvm"):
        block(*inputs())
    assert convolutions() == 1, "what was wrong is forgotten"


def test_a_forced_backend_without_convolutions_does_the_product(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    from tpregistry_cg import CgHoist

    supports = CgHoist.supports

    def products_alone(self, problem, device, framework="torch"):
        verdict = supports(self, problem, device, framework)
        if problem.convolves:
            from tpregistry.backend import Reason, Verdict

            return Verdict((*verdict.reasons, Reason("TP120", "no convolutions")))
        return verdict

    monkeypatch.setattr(CgHoist, "supports", products_alone)
    with tpregistry.use("cg-hoist"):
        block(*inputs())
    ran = {decision.backend: decision.problem.convolves for decision in tpregistry.decisions()}
    assert ran in ({"cg-hoist": False}, {"cg-hoist": True})
