"""MACE's `SymmetricContraction` as a site: stock's numbers, and stock's code wherever more than numbers is asked for."""

import copy
import io
import pickle
from functools import partial

import pytest
import torch

pytest.importorskip("mace")

import mace.modules.symmetric_contraction as stock_module
from e3nn import o3
from e3nn.util import jit
from mace.modules.symmetric_contraction import SymmetricContraction

import tpregistry
from tpregistry_mace import Mace
from tpregistry_mace.adapter import Adapter
from tpregistry_mace.describe import describe

pytestmark = pytest.mark.processes

Tensor = torch.Tensor
OURS = {"backend": "cg-llvm"}


@pytest.fixture(autouse=True)
def site():
    adapter = Adapter()
    adapter.patch()
    assert not tpregistry.decisions().out_of_reach
    yield adapter
    adapter.unpatch()


def irreps(text: str, channels: int) -> o3.Irreps:
    return o3.Irreps("+".join(f"{channels}x{item}" for item in text.split("+")))


def made(
    signal="0e+1o", out="0e+1o", correlation=2, elements=2, channels=8, dtype=torch.float32, reduced=False
) -> SymmetricContraction:
    """With weights that are all drawn, as after loading: also those that MACE marks as zeroed."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        options = {"num_elements": elements, "use_reduced_cg": reduced}
        module = SymmetricContraction(irreps(signal, channels), irreps(out, channels), correlation, **options)
    finally:
        torch.set_default_dtype(before)
    for parameter in module.parameters():
        parameter.data.normal_()
    return module


def operands(module, nodes=7) -> tuple[Tensor, Tensor]:
    weight = module.contractions[0].weights_max
    width = sum(item.ir.dim for item in module.irreps_in)
    x = torch.randn(nodes, weight.shape[2], width, dtype=weight.dtype).requires_grad_()
    return x, torch.eye(weight.shape[0], dtype=weight.dtype)[torch.arange(nodes) % weight.shape[0]]


def trained(module, x: Tensor, y: Tensor) -> list[Tensor]:
    """Out, forces, the gradients of a loss on both, and all first gradients."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    inputs = [x, *weights, *([y] if y.requires_grad else [])]
    out = module(x, y)
    (forces,) = torch.autograd.grad(out.square().sum(), [x], create_graph=True)
    loss = forces.square().sum() + out.sum()
    return [out, forces, *torch.autograd.grad(loss, inputs), *torch.autograd.grad(module(x, y).sin().sum(), inputs)]


def off(compute):
    with tpregistry.use("off"):
        return compute()


def ours(compute):
    with tpregistry.use(**OURS):
        return compute()


def alike(found, expected, within: float = 1e-5) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=within * float(other.detach().abs().max() + 1e-6))


def calls() -> int:
    return sum(decision.calls for decision in tpregistry.decisions() if decision.backend == "cg-llvm")


def left() -> set[str]:
    return set(tpregistry.decisions().left_to_host)


CASES = [
    ("0e+1o", "0e+1o", 2, 2, 8, False),
    ("0e+1o+2e", "0e+1o+2e", 2, 10, 5, True),
    ("0e+1o+2e", "0e", 3, 1, 16, False),
    ("0e+1o+2e+3o", "0e", 3, 2, 4, True),
    ("0e+1o+2e+3o", "1o", 1, 3, 6, False),
    ("0e+1o", "0e+1o", 4, 2, 4, True),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 2e-5), (torch.float64, 1e-13)])
def test_stocks_numbers(case, dtype: torch.dtype, within: float) -> None:
    """Out, forces and training on forces, by all weights."""
    signal, out, correlation, elements, channels, reduced = case
    module = made(signal, out, correlation, elements, channels, dtype, reduced)
    given = operands(module)
    alike(ours(lambda: trained(module, *given)), off(lambda: trained(module, *given)), within)
    assert calls() == 2


def test_rounded_coefficients_are_another_problem() -> None:
    rounded = describe(made("0e+1o+2e", "0e+1o", 3).double(), torch.float64)
    assert rounded != describe(made("0e+1o+2e", "0e+1o", 3, dtype=torch.float64), torch.float64)


@pytest.mark.parametrize("y", ["soft", "zeros", "wants gradients"])
def test_elements_that_are_not_one_hot(y: str) -> None:
    module = made(dtype=torch.float64)
    x, hot = operands(module)
    given = {"soft": torch.randn(7, 2).double(), "zeros": 0 * hot, "wants gradients": hot.clone().requires_grad_()}[y]
    alike(ours(lambda: trained(module, x, given)), off(lambda: trained(module, x, given)), 1e-13)
    assert calls() == 2


def test_weights_that_change_in_place_or_are_loaded() -> None:
    module, state = made(), made(correlation=2).state_dict()
    x, y = operands(module)
    for change in (
        lambda: None,
        lambda: [weight.data.mul_(2) for weight in module.parameters()],
        lambda: module.load_state_dict({name: 3 * value if "weights" in name else value for name, value in state.items()}),
        lambda: torch.optim.SGD(module.parameters(), 0.1).step(),
    ):
        change()
        alike(ours(lambda: trained(module, x, y)), off(lambda: trained(module, x, y)))
    assert calls() == 8


def test_coefficients_that_change_are_another_problem() -> None:
    module = made()
    x, y = operands(module)
    ours(lambda: module(x, y))
    for change in (
        lambda one: one.U_matrix_2.mul_(2),
        lambda one: one._buffers.update(U_matrix_1=-one.U_matrix_1),
        lambda one: one.load_state_dict({**one.state_dict(), "U_matrix_1": 5 * one.U_matrix_1}),
    ):
        change(module.contractions[1])
        alike([ours(lambda: module(x, y))], [off(lambda: module(x, y))])
    assert len({decision.problem for decision in tpregistry.decisions()}) == 4


def test_other_dtypes_of_the_same_module() -> None:
    module = made()
    ours(lambda: module(*operands(module)))
    module.double()
    x, y = operands(module)
    alike(ours(lambda: trained(module, x, y)), off(lambda: trained(module, x, y)), 1e-13)


class Counting:
    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, *args) -> None:
        self.seen += 1


HOOKED = {
    "a hook on a contraction": lambda m, seen: m.contractions[0].register_forward_hook(seen),
    "a hook before a graph": lambda m, seen: m.contractions[1].graph_opt_main.register_forward_pre_hook(seen),
    "a backward hook": lambda m, seen: m.contractions[0].contractions_features[0].register_full_backward_hook(seen),
    "a hook on all modules": lambda m, seen: torch.nn.modules.module.register_module_forward_hook(seen),
}


@pytest.mark.parametrize("name", HOOKED)
def test_hooks_are_called(name: str) -> None:
    module, seen = made(), Counting()
    x, y = operands(module)
    ours(lambda: module(x, y))
    handle = HOOKED[name](module, seen)
    try:
        alike(ours(lambda: trained(module, x, y)), off(lambda: trained(module, x, y)))
        assert calls() == 1
        assert seen.seen
        assert left()
    finally:
        handle.remove()
    ours(lambda: module(x, y))
    assert calls() == 2


class Doubled(stock_module.Contraction):
    def forward(self, x, y):
        return 2 * super().forward(x, y)


def replaced(module) -> None:
    module.contractions[0] = torch.nn.Identity()


def other_forward(module) -> None:
    one = module.contractions[0]
    stock = one.forward
    one.forward = lambda x, y: 3 * stock(x, y)


CHANGED = {
    "another class": lambda m: m.contractions[0].__class__.__bases__ and setattr(m.contractions[0], "__class__", Doubled),
    "another forward of one": other_forward,
    "another graph": lambda m: setattr(m.contractions[0], "graph_opt_main", copy.deepcopy(m.contractions[0].graph_opt_main)),
    "contractions in reverse": lambda m: setattr(m, "contractions", torch.nn.ModuleList(list(m.contractions)[::-1])),
}


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("when", ["before", "after"])
def test_parts_that_are_replaced(name: str, when: str) -> None:
    """Bound before or after: stock's numbers, whichever code they come from."""
    module = made("0e+1o", "0e+1o", 2)
    x, y = operands(module)
    if when == "after":
        ours(lambda: module(x, y))
    CHANGED[name](module)
    alike([ours(lambda: module(x, y))], [off(lambda: module(x, y))])


def test_a_contraction_that_is_something_else() -> None:
    module = made()
    x, y = operands(module)
    ours(lambda: module(x, y))
    replaced(module)
    for compute in (off, ours):
        with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
            compute(lambda: module(x, y))


def outcome(compute) -> object:
    try:
        return compute()
    except Exception as error:
        return error


WRONG = {
    "another width": lambda x, y: (x[..., :-1], y),
    "other channels": lambda x, y: (x[:, :-1], y),
    "other elements": lambda x, y: (x, torch.cat([y, y], 1)),
    "fewer rows": lambda x, y: (x, y[:-1]),
    "another dtype of y": lambda x, y: (x, y.double()),
    "integers": lambda x, y: (x, y.long()),
    "flat": lambda x, y: (x.flatten(1), y),
    "no nodes": lambda x, y: (x[:0], y[:0]),
}


@pytest.mark.parametrize("name", WRONG)
def test_operands_that_do_not_fit_are_mace_s(name: str) -> None:
    """What it raises, or what it gives."""
    module = made()
    given = WRONG[name](*operands(module))
    found, expected = (outcome(partial(compute, lambda: module(*given))) for compute in (ours, off))
    assert type(found) is type(expected)
    if isinstance(found, Tensor):
        alike([found], [expected])
    else:
        assert str(found) == str(expected)
    assert not calls()


def test_nothing_of_ours_is_saved_copied_or_scripted() -> None:
    module = made()
    x, y = operands(module)
    before, keys = pickle.dumps(module), list(module.__dict__)
    expected = ours(lambda: module(x, y))
    assert list(module.__dict__) == keys
    assert pickle.dumps(module) == before
    assert b"tpregistry" not in before
    twin = copy.deepcopy(module)
    scripted = jit.script(twin)
    file = io.BytesIO()
    torch.jit.save(scripted, file)
    assert b"tpregistry" not in file.getvalue()
    alike([scripted(x, y), ours(lambda: pickle.loads(before)(x, y))], [expected] * 2)


def test_transforms_and_tracing_are_stock() -> None:
    module = made()
    x, y = operands(module)
    ours(lambda: module(x, y))
    stock = off(lambda: torch.func.grad(lambda x: module(x, y).sum())(x))
    alike([ours(lambda: torch.func.grad(lambda x: module(x, y).sum())(x))], [stock])
    tangent = ours(lambda: torch.func.jvp(lambda x: module(x, y), (x,), (x,))[1])
    alike([tangent], [off(lambda: torch.func.jvp(lambda x: module(x, y), (x,), (x,))[1])])
    traced = ours(lambda: torch.fx.symbolic_trace(module))
    alike([ours(lambda: traced(x, y))], [off(lambda: module(x, y))])
    for compute in (ours, off):
        with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(RuntimeError, match="same dtype"):
            compute(lambda: module(x, y))
    assert {"contraction: functorch transform", "contraction: tensor subclass or proxy", "contraction: autocast"} <= left()


def test_hessians_and_backwards_mapped_over_cotangents() -> None:
    module = made(dtype=torch.float64)
    x, y = operands(module, nodes=2)

    def hessian() -> Tensor:
        (force,) = torch.autograd.grad(module(x, y).square().sum(), [x], create_graph=True)
        basis = torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape)
        return torch.autograd.grad(force, x, basis, is_grads_batched=True)[0]

    alike([ours(hessian)], [off(hessian)], 1e-12)


def test_a_backend_that_does_not_contract_leaves_it_to_mace() -> None:
    module = made()
    given = operands(module)
    for request in ("e3nn", "cg-hoist"):
        with tpregistry.use(request):
            alike([module(*given)], [off(lambda: module(*given))], 1e-12)
    assert left() == {"a contraction that the backend asked for does not do"}


def test_mace_makes_no_module_for_a_problem() -> None:
    problem = describe(made(), torch.float32)
    assert not Mace().supports(problem, "cpu").ok
    with pytest.raises(NotImplementedError):
        Mace().build(problem, "cpu")


def test_unpatched_it_is_stock(site: Adapter) -> None:
    ours = SymmetricContraction.forward
    site.unpatch()
    assert SymmetricContraction.forward is not ours
    assert not hasattr(SymmetricContraction.forward, "__wrapped__")
