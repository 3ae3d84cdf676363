"""Symmetric contractions of cg-llvm: all derivatives against the definition, and the gate, which finds those that are wrong."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from tests.contractions import contraction, coupled, of_tensors
from tests.tiers import drawn
from tpregistry import hosts
from tpregistry.contraction import table_of
from tpregistry.definition.contraction import ContractionKernel
from tpregistry.frame import Host, frame
from tpregistry.gate import Evidence, Yardstick, verify
from tpregistry.irreps import Irreps
from tpregistry.problem import Problem
from tpregistry.store import Outcome
from tpregistry.testing.conformance import examine
from tpregistry.testing.faults.faulty import Faulty
from tpregistry.torch.differentiable import differentiable
from tpregistry_cg import CgDense, CgLlvm
from tpregistry_cg.contraction.horner import trees
from tpregistry_cg.contraction.kernel import Entries, build

Tensor = torch.Tensor
SMALL = ("0e+1o", "0e+1o", 2)
"""Irreps and correlation of a problem that compiles in no time."""


def host(problem: Problem) -> Host:
    return Host(
        "mace", ContractionKernel(problem, "cpu", "torch"), lambda: ContractionKernel(problem.at(dtype="float64"), "cpu", "torch")
    )


def rows(kind: str, nodes: int, elements: int) -> Tensor:
    """y: one-hot, drawn (and some of it zero), or a mixture with rows of zeros and repeated ones."""
    generator = torch.Generator().manual_seed(nodes)
    hot = torch.eye(elements, dtype=torch.float64)[torch.randint(0, elements, (nodes,), generator=generator)]
    soft = torch.randn(nodes, elements, dtype=torch.float64, generator=generator)
    if kind == "one-hot":
        return hot
    mixed = torch.where(torch.arange(nodes)[:, None] % 3 == 0, hot, soft.relu())
    mixed[1::3] = 0
    return soft if kind == "soft" else mixed


def derivatives(function, x: Tensor, y: Tensor, w: Tensor, elements: bool) -> list[Tensor]:
    """Out, all first gradients, those of a function of them, and of forces alone."""
    inputs = [tensor.detach().clone().requires_grad_() for tensor in (x, y, w)][:: 1 if elements else 2]
    out = function(inputs[0], inputs[1] if elements else y, inputs[-1])
    seeds = [torch.sin(torch.arange(t.numel(), dtype=t.dtype)).reshape(t.shape) for t in (out, *inputs)]
    first = torch.autograd.grad(out, inputs, seeds[0], create_graph=True)
    second = torch.autograd.grad(first, inputs, seeds[1:], create_graph=True)
    forces = torch.autograd.grad(out, inputs[:1], seeds[0].requires_grad_(), create_graph=True)
    training = torch.autograd.grad(forces[0].square().sum() + out.sum(), [*inputs, seeds[0]])
    return [out, *first, *second, *training]


def assert_alike(found: list[Tensor], expected: list[Tensor], within: float) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.to(other.dtype), other, rtol=0, atol=within * float(other.detach().abs().max() + 1e-3))


CASES = [
    ("0e+1o", "0e+1o", 2, 16, 2),
    ("0e+1o+2e", "0e+1o+2e", 2, 12, 3),
    ("0e+1o", "0e", 3, 1, 1),
    ("0e+1o", "1o", 4, 3, 2),
    ("1o+2e", "2e+0e", 1, 6, 10),
    ("0o+1e+1o", "0e+1e", 2, 5, 2),
    ("1o+1o", "0e", 2, 2, 89),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kind", ["one-hot", "soft", "mixed"])
def test_it_is_what_its_definition_says(case, kind: str) -> None:
    """Channels that fill vectors of every width, one element and many, with and without gradients by elements."""
    signal, out, correlation, channels, elements = case
    problem = contraction(signal, out, correlation, channels, elements)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, problem.irreps_in1.dim, dtype=torch.float64, generator=generator)
    w = torch.randn(problem.weight_numel, dtype=torch.float64, generator=generator)
    y, own = rows(kind, 9, elements), ContractionKernel(problem, "cpu", "torch")
    for by_elements in (False, True):
        expected = derivatives(own, x, y, w, by_elements)
        assert_alike(derivatives(differentiable(build(problem)), x, y, w, by_elements), expected, 1e-13)
        single = [tensor.float() for tensor in (x, y, w)]
        found = derivatives(differentiable(build(problem.at(dtype="float32"))), *single, by_elements)
        assert_alike(found, expected, 2e-5)


def test_further_derivatives_are_those_of_torch() -> None:
    problem = contraction(*SMALL)
    torch.manual_seed(0)
    x, w = torch.rand(3, 16, dtype=torch.float64), torch.rand(problem.weight_numel, dtype=torch.float64)
    y = rows("mixed", 3, 2)

    def third(function) -> list[Tensor]:
        inputs = [tensor.clone().requires_grad_() for tensor in (x, y, w)]
        total = function(*inputs).sin().sum()
        for _ in range(2):
            total = sum(g.sin().sum() for g in torch.autograd.grad(total, inputs, create_graph=True))
        return list(torch.autograd.grad(total, inputs))

    assert_alike(third(differentiable(build(problem))), third(ContractionKernel(problem, "cpu", "torch")), 1e-12)


@pytest.mark.parametrize("y", [torch.zeros(0, 2), torch.zeros(3, 2)])
def test_without_nodes_and_without_elements(y: Tensor) -> None:
    problem = contraction(*SMALL).at(dtype="float32")
    x, w = torch.randn(len(y), 16, requires_grad=True), torch.randn(problem.weight_numel, requires_grad=True)
    out = differentiable(build(problem))(x, y, w)
    assert out.shape == (len(y), 16)
    assert not any(g.any() for g in (out, *torch.autograd.grad(out.sum(), [x, w])))


@pytest.mark.parametrize(
    "change", [lambda x, y, w: (x[:, :-1], y, w), lambda x, y, w: (x, y[:-1], w), lambda x, y, w: (x, y, w[:-1])]
)
def test_it_reads_no_further_than_operands_go(change) -> None:
    problem = contraction(*SMALL).at(dtype="float32")
    x, y, w = torch.randn(3, 16), torch.eye(2)[[0, 1, 0]], torch.randn(problem.weight_numel)
    with pytest.raises(ValueError, match="but this kernel takes"):
        build(problem)(*change(x, y, w))


def test_not_a_number_stays_where_it_is() -> None:
    problem = contraction(*SMALL).at(dtype="float32")
    x, y, w = torch.randn(3, 16), torch.eye(2)[[0, 1, 0]], torch.randn(problem.weight_numel)
    x[1, 0] = float("nan")
    out = build(problem)(x, y, w)
    assert out.isnan().any(dim=1).tolist() == [False, True, False]
    y[0, 0] = float("nan")
    assert build(problem)(x, y, w)[0].isnan().all()


def test_entries_are_those_that_are_not_zero() -> None:
    y = torch.tensor([[0.0, 2.0], [0.0, 0.0], [3.0, 4.0]])
    found = Entries(y, every=False)
    assert (found.rows.tolist(), found.values.tolist(), found.bounds.tolist()) == ([2, 0, 2], [3, 2, 4], [0, 1, 3])
    assert found.at(10 * y).tolist() == [30, 20, 40]
    assert Entries(y, every=True).values.tolist() == [0, 0, 3, 2, 0, 4]


def test_horner_takes_fewer_multiplications_than_monomials_have_factors() -> None:
    found = table_of(contraction("0e+1o+2e", "0e+1o", 3))
    branches = sum(tree.size for tree in trees(found, 4))
    assert len(found) < branches < sum(map(len, found.factors)) - len(found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("derivatives", [0, 2])
def test_it_passes_the_gate(dtype: str, derivatives: int) -> None:
    problem = contraction("0e+1o", "0e+1o", 3, elements=3, dtype=dtype).at(derivatives=derivatives, batch=64)
    outcome = examine(CgLlvm(), problem, host(problem), frame("torch"), "cpu")
    assert outcome.state is Outcome.OK, outcome


def test_coefficients_that_nobody_has_read_are_a_reason(monkeypatch) -> None:
    problem = contraction(*SMALL)
    monkeypatch.setattr("tpregistry.contraction._tables", {})
    (reason,) = CgLlvm().supports(problem, "cpu").reasons
    assert reason.hint == "load the model that they come from"


def test_others_say_that_they_do_not_contract() -> None:
    problem = contraction(*SMALL)
    for backend, framework in ((CgDense(), "torch"), (CgLlvm(), "jax")):
        outcome = examine(backend, problem, host(problem), frame(framework), "cpu")
        assert outcome.state is Outcome.UNSUPPORTED, outcome
    assert hosts.host_for(problem, "torch", "cpu").kernel is not None


def evidence(problem: Problem, kernel) -> Evidence:
    return verify(kernel, Yardstick(problem, host(problem), frame("torch"), "cpu"))


def other_coefficients(change) -> tuple[Problem, object]:
    """The kernel of coefficients that were changed, for a problem of those as they are."""
    signal, out = Irreps.parse("0e+1o"), Irreps.parse("0e+1o")
    tensors = coupled(signal, out, 2)
    problem = of_tensors(tensors, signal, out, 4, 3, "float32")
    change(tensors)
    return problem, build(of_tensors(tensors, signal, out, 4, 3, "float32"))


def scaled(irrep: int, power: int, place, factor: float):
    def change(tensors) -> None:
        tensors[irrep][power - 1] = tensors[irrep][power - 1].copy()
        tensors[irrep][power - 1][place] *= factor

    return change


def swapped(tensors) -> None:
    tensors[0][1] = tensors[0][1][..., ::-1]


COEFFICIENTS = {
    "one monomial left out": scaled(0, 2, (0, 1, 1), 0),
    "one path has the other sign": scaled(1, 2, (..., 0), -1),
    "one path of the first power is off by a thousandth": scaled(1, 1, (..., 0), 1.001),
    "a component of the output is left out": scaled(1, 1, (1,), 0),
    "two paths change places": swapped,
}


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_the_gate_finds_wrong_coefficients(name: str) -> None:
    assert not evidence(*other_coefficients(COEFFICIENTS[name])).ok


class Wrong:
    """The definition, called in a wrong way."""

    engine = "wrong"

    def __init__(self, problem: Problem, call) -> None:
        self.problem, self.own, self.call, self.kept = problem, ContractionKernel(problem, "cpu", "torch"), call, {}

    def __call__(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        return self.call(self, x, y, w)


def hard(y: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(y.argmax(1), y.shape[1]).to(y) if len(y) else y


def first_weights(one: Wrong, w: Tensor) -> Tensor:
    kept, packed = one.kept.setdefault(id(w), (w, w.detach().clone()))
    return packed + (kept - kept.detach())


def filled(y: Tensor) -> Tensor:
    return y + torch.eye(y.shape[1]).to(y)[:1] * (y == 0).all(1, keepdim=True)


def apart(own, x: Tensor, y: Tensor, w: Tensor, mixed: float) -> Tensor:
    """Right but for the second derivatives by x and w together, which are ``mixed`` times what is right."""
    by_x, by_w, none = own(x, y, w.detach()), own(x.detach(), y, w), own(x.detach(), y, w.detach())
    changed = own(x, y, w) - by_x - by_w + none
    return by_x + by_w - none + mixed * changed - (mixed - 1) * changed.detach()


CALLS = {
    "the largest element is taken for the only one": lambda k, x, y, w: k.own(x, hard(y), w),
    "how much of an element there is does not count": lambda k, x, y, w: k.own(x, (y != 0).to(y), w),
    "no gradient by elements": lambda k, x, y, w: k.own(x, y.detach(), w),
    "none by elements that are zero": lambda k, x, y, w: k.own(x, torch.where(y == 0, y.detach(), y), w),
    "elements in reverse": lambda k, x, y, w: k.own(x, y.flip(1), w),
    "rows without an element are the first's": lambda k, x, y, w: k.own(x, filled(y), w),
    "weights are packed once": lambda k, x, y, w: k.own(x, y, first_weights(k, w)),
    "no second derivatives by weights": lambda k, x, y, w: apart(k.own, x, y, w, 0),
    "nodes beyond a block are left out": lambda k, x, y, w: k.own(x, y * (torch.arange(len(y)) < 128)[:, None], w),
    "irreps before channels": lambda k, x, y, w: k.own(x.reshape(len(x), -1, k.problem.channels).mT.reshape(x.shape), y, w),
    "large numbers are cut off": lambda k, x, y, w: k.own(x, y, w).clamp(-1e6, 1e6),
    "forces depend on weights twice as much": lambda k, x, y, w: apart(k.own, x, y, w, 2),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_gate_finds_wrong_calls(name: str) -> None:
    problem = contraction("0e+1o", "0e+1o", 2, channels=3, elements=3, dtype="float32").at(batch=256)
    assert not evidence(problem, Wrong(problem, CALLS[name])).ok


@pytest.mark.parametrize(("level", "slot"), [(0, 0), (1, 0), (1, 2), (2, 0), (2, 2), (2, 3)])
def test_the_gate_finds_a_derivative_that_is_off(level: int, slot: int) -> None:
    """By one in a hundred: the output, gradients by x and w, and second ones by x, w and the cotangent."""
    problem = contraction(*SMALL, elements=3, dtype="float32").at(batch=64)

    def change(operands, results):
        results[slot].mul_(1.01)
        return results

    assert not evidence(problem, Faulty(build(problem), level, change)).ok


@pytest.mark.slow
@drawn(40, seed=st.integers(0, 2**32 - 1))
def test_drawn_problems_pass_the_gate(seed: int) -> None:
    """Irreps of both parities, in any order and repeated, any number of elements and channels."""
    generator = np.random.default_rng(seed)
    items = ["0e", "0o", "1o", "1e", "2e"]
    signal = "+".join(generator.choice(items, generator.integers(1, 3)))
    out = "+".join(generator.choice(["0e", "1o", "1e"], generator.integers(1, 3)))
    channels, elements, correlation = (
        int(n) for n in (generator.integers(1, 9), generator.integers(1, 5), generator.integers(1, 4))
    )
    problem = contraction(signal, out, correlation, channels, elements, str(generator.choice(["float32", "float64"])))
    if len(table_of(problem)):
        found = evidence(problem, build(problem))
        assert found.ok, (found.failures, str(problem))
