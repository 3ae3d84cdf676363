"""What a module computes may change after it was bound: each call computes what stock would compute now."""

import copy

import pytest
import torch
from e3nn import o3

import tpregistry
from tests.e3nn_host.conftest import inputs, stock

MAIN = "_compiled_main_left_right"
ODD = "_w3j_1_1_1"


@pytest.fixture
def kernel() -> str:
    """One is enough: what is bound is not looked at here."""
    return "cg-hoist"


@pytest.fixture
def module() -> o3.TensorProduct:
    """Bound."""
    made = _made(torch.float32)
    made(*inputs(made, 5))
    return made


def _made(dtype: torch.dtype) -> o3.TensorProduct:
    """One path with a buffer whose sign may be turned, one without a buffer."""
    paths = [(0, 0, 0, "uvu", True), (1, 1, 1, "uvu", True)]
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return o3.TensorProduct("4x0e+4x1o", "0e+1o", "4x0e+4x1e", paths, shared_weights=False, internal_weights=False)
    finally:
        torch.set_default_dtype(before)


@pytest.fixture(autouse=True)
def forced(kernel):
    with tpregistry.use(kernel):
        yield


def main_of(module) -> torch.nn.Module:
    return getattr(module, MAIN)


def turned(module) -> dict[str, torch.Tensor]:
    """The state of 0.4.4, whose odd tensors have the other sign."""
    return {key: -value if ODD in key else value.clone() for key, value in module.state_dict().items()}


def agrees(module, operands=None) -> None:
    args = operands or inputs(module, 5)
    torch.testing.assert_close(module(*args), stock(module, *args), atol=2e-5, rtol=1e-5)


def copied_into(module) -> None:
    own = module.state_dict()
    for key, value in turned(module).items():
        own[key].copy_(value)


def replaced_by_name(module) -> None:
    setattr(main_of(module), ODD, -getattr(main_of(module), ODD))


def replaced_in_place_of(module) -> None:
    buffers = main_of(module)._buffers
    buffers[ODD] = -buffers[ODD]


def of_a_new_product(module) -> None:
    """As of another file: other generated code."""
    module._modules[MAIN] = copy.deepcopy(main_of(module))
    getattr(main_of(module), ODD).neg_()


def within_inference(module) -> None:
    with torch.inference_mode():
        dict(main_of(module).named_buffers())[ODD].neg_()


CHANGES = [
    copied_into,
    replaced_by_name,
    replaced_in_place_of,
    of_a_new_product,
    within_inference,
    lambda module: [buffer.neg_() for name, buffer in module.named_buffers() if ODD in name],
    lambda module: main_of(module).load_state_dict({ODD: -getattr(main_of(module), ODD)}, strict=False),
    lambda module: module.load_state_dict(turned(module)),
    lambda module: module._apply(lambda tensor: -tensor),
    lambda module: torch.ops.aten.neg_(getattr(main_of(module), ODD)),
    lambda module: getattr(main_of(module), ODD)[0, 1].neg_(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_buffers_that_change(change, module) -> None:
    args = inputs(module, 5)
    before = module(*args)
    change(module)
    agrees(module, args)
    assert not torch.allclose(module(*args), before, atol=1e-2)


def test_assigned_states(module) -> None:
    try:
        module.load_state_dict(turned(module), assign=True)
    except RuntimeError:
        assert isinstance(main_of(module), torch.jit.ScriptModule)
    agrees(module)


def test_values_of_float32_in_a_model_of_float64(module) -> None:
    exact = {key: value.clone() for key, value in _made(torch.float64).state_dict().items()}
    rounded = module.double().state_dict()
    args = inputs(module, 5, dtype=torch.float64)
    for state in (rounded, exact, rounded):
        module.load_state_dict(state)
        torch.testing.assert_close(module(*args), stock(module, *args), atol=1e-13, rtol=1e-13)


def test_functional_calls_with_other_buffers(module) -> None:
    args = tuple(inputs(module, 5))
    other = copy.deepcopy(module)
    copied_into(other)
    expected = stock(other, *args), stock(module, *args)
    for _ in range(2):
        found = torch.func.functional_call(module, turned(module), args), module(*args)
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


def test_going_to_and_fro_decides_once(module, monkeypatch) -> None:
    copied_into(module)
    agrees(module)
    monkeypatch.setattr("tpregistry.torch.binding.Hook._bind", lambda *given: pytest.fail("it is bound anew"))
    for _ in range(3):
        copied_into(module)
        module(*inputs(module, 5))


@pytest.mark.parametrize("made", ["copied", "converted"])
def test_modules_of_inference_mode_have_no_versions(module, made) -> None:
    with torch.inference_mode():
        mine = copy.deepcopy(module) if made == "copied" else module.double().float()
        agrees(mine)
        assert getattr(main_of(mine), ODD).is_inference()
        args = inputs(mine, 5)
        before = mine(*args)
        getattr(main_of(mine), ODD).neg_()
        agrees(mine)
        assert not torch.allclose(mine(*args), before, atol=1e-2)
    agrees(mine)


def test_what_torch_does_not_count_can_be_told(module) -> None:
    buffer = getattr(main_of(module), ODD)
    buffer.data.neg_()
    torch.autograd.graph.increment_version(buffer)
    agrees(module)


def test_buffers_that_want_gradients_run_stock(module) -> None:
    buffer = getattr(main_of(module), ODD).clone().requires_grad_()
    args = tuple(inputs(module, 5))
    state = {f"{MAIN}.{ODD}": buffer}
    left = tpregistry.decisions().left_to_host
    (found,) = torch.autograd.grad(torch.func.functional_call(module, state, args).square().sum(), buffer)
    assert left == {"buffers that want gradients": 1}
    with tpregistry.use("off"):
        (expected,) = torch.autograd.grad(torch.func.functional_call(module, state, args).square().sum(), buffer)
    torch.testing.assert_close(found, expected)
