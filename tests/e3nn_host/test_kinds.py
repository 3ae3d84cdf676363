"""Every kind of tensor that torch has, as operand and as cotangent, of the first and the second order: stock's numbers or stock's
error, and the process goes on."""

from collections.abc import Callable

import pytest
import torch
from e3nn import o3
from torch.masked import masked_tensor
from torch.testing._internal.two_tensor import TwoTensor

import tpregistry
from tests.e3nn_host.conftest import inputs
from tpregistry.torch.guard import backward_left_to_host, left_to_host
from tpregistry.torch.plain import NotPlain, all_plain, plain

Tensor = torch.Tensor
BATCH = 4


class Wrapped(torch.Tensor):
    """A subclass without rules of its own."""


def fake(tensor: Tensor) -> Tensor:
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        return mode.from_tensor(tensor)


def expanded(tensor: Tensor) -> Tensor:
    return tensor[:1].expand_as(tensor)


def inference(tensor: Tensor) -> Tensor:
    with torch.inference_mode():
        return tensor.clone()


def shared(tensor: Tensor) -> Tensor:
    """In memory that is copied when it is written to."""
    return torch._lazy_clone(tensor)


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda tensor: tensor,
    "parameter": lambda tensor: torch.nn.Parameter(tensor, requires_grad=False),
    "columns": lambda tensor: tensor.T.contiguous().T,
    "expanded": expanded,
    "every second": lambda tensor: tensor.repeat_interleave(2, dim=-1)[..., ::2],
    "inference": inference,
    "copied when written to": shared,
    "zeros without memory": lambda tensor: torch._efficientzerotensor(tensor.shape),
    "part of zeros without memory": lambda tensor: torch._efficientzerotensor((2 * len(tensor), tensor.shape[1]))[: len(tensor)],
    "of the other sign": torch._neg_view,
    "imaginary part of a conjugate": lambda tensor: torch.complex(tensor, tensor).conj().imag,
    "sparse": Tensor.to_sparse,
    "sparse rows": Tensor.to_sparse_csr,
    "sparse columns": Tensor.to_sparse_csc,
    "sparse blocks": lambda tensor: tensor.to_sparse_bsr((1, 1)),
    "mkldnn": Tensor.to_mkldnn,
    "quantized": lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
    "nested": lambda tensor: torch.nested.nested_tensor(list(tensor)),
    "jagged": lambda tensor: torch.nested.nested_tensor(list(tensor), layout=torch.jagged),
    "meta": lambda tensor: tensor.to("meta"),
    "fake": fake,
    "functional": torch._to_functional_tensor,
    "two tensors": lambda tensor: TwoTensor(tensor, 2 * tensor),
    "masked": lambda tensor: masked_tensor(tensor, torch.ones_like(tensor, dtype=torch.bool)),
    "subclass": lambda tensor: tensor.as_subclass(Wrapped),
    "half": Tensor.half,
    "double": Tensor.double,
    "complex": lambda tensor: tensor.to(torch.complex64),
    "integers": Tensor.int,
}
MEMORY = {"plain", "parameter", "columns", "expanded", "every second", "inference", "copied when written to"}
MADE_PLAIN = {"zeros without memory", "part of zeros without memory", "of the other sign", "imaginary part of a conjugate"}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Masked, sparse and nested tensors are said to be prototypes."""
    torch.manual_seed(0)


@pytest.fixture(params=["uvu", "uvw"])
def module(request, convolution) -> o3.TensorProduct:
    if request.param == "uvu":
        return convolution()
    return o3.FullyConnectedTensorProduct("4x0e+8x1o", "2x0e+2x1o", "4x0e+8x1o", shared_weights=False, internal_weights=False)


def as_operand(module: o3.TensorProduct, make: Callable[[Tensor], Tensor], place: int) -> list[object]:
    operands = inputs(module, BATCH)
    operands[place] = make(operands[place])
    return [module(*operands)]


def as_cotangent(module: o3.TensorProduct, make: Callable[[Tensor], Tensor]) -> list[object]:
    operands = [operand.requires_grad_() for operand in inputs(module, BATCH)]
    out = module(*operands)
    return list(torch.autograd.grad(out, operands, make(torch.linspace(-1, 1, out.numel()).view_as(out))))


def of_second_order(module: o3.TensorProduct, make: Callable[[Tensor], Tensor]) -> list[object]:
    operands = [operand.requires_grad_() for operand in inputs(module, BATCH)]
    (found,) = torch.autograd.grad(module(*operands).pow(2).sum(), operands[1], create_graph=True)
    return list(torch.autograd.grad(found, operands, make(torch.linspace(-1, 1, found.numel()).view_as(found))))


WAYS = {
    "operand x": lambda module, make: as_operand(module, make, 0),
    "operand y": lambda module, make: as_operand(module, make, 1),
    "operand w": lambda module, make: as_operand(module, make, 2),
    "cotangent": as_cotangent,
    "second order": of_second_order,
}


def outcome(
    way: Callable, module: o3.TensorProduct, make: Callable[[Tensor], Tensor], backend: str
) -> tuple[list[str], list[Tensor]]:
    """Types, devices and shapes of the results, or that it raised; and their numbers, where they have any."""
    with tpregistry.use(backend):
        try:
            found = way(module, make)
        except Exception:
            return ["raised"], []
        words = [f"{type(tensor).__name__} {tensor.device.type} {tuple(tensor.shape)}" for tensor in found]
        return words, [number for tensor in found for number in numbers(tensor)]


def numbers(tensor: Tensor) -> list[Tensor]:
    if isinstance(tensor, TwoTensor):
        return [tensor.a.detach(), tensor.b.detach()]
    if type(tensor) is not Tensor or tensor.is_meta:
        return []
    if torch._is_functional_tensor(tensor):
        tensor = torch._from_functional_tensor(tensor)
    return [tensor.detach().to_dense() if tensor.layout is not torch.strided else tensor.detach()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_kind_of_tensor(module, kernel) -> None:
    other = {(way, kind): difference(WAYS[way], module, KINDS[kind], kernel) for way in WAYS for kind in KINDS}
    assert {case: words for case, words in other.items() if words} == {}


def difference(way: Callable, module: o3.TensorProduct, make: Callable[[Tensor], Tensor], backend: str) -> str:
    (expected, theirs), (found, ours) = outcome(way, module, make, "off"), outcome(way, module, make, backend)
    if expected == ["raised"] and backend != "cg-llvm":
        return ""  # torch may have a rule for other functions than those of e3nn's code
    if found != expected:
        return f"{found}, not {expected}"
    alike = (torch.allclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True) for a, b in zip(ours, theirs, strict=True))
    return "" if all(alike) else "other numbers"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_taken_for_plain_has_memory_and_torch_says_so_too(kind) -> None:
    """Dispatch keys are how torch itself tells kinds apart: what passes has those of a plain tensor."""
    tensor = KINDS[kind](torch.randn(3, 4))
    usual = {"CPU", "ADInplaceOrView", "AutogradCPU", "AutocastCPU"}
    keys = {key.strip() for key in str(torch._C._dispatch_keys(tensor)).partition("(")[2].rstrip(")").split(",")}
    real = tensor.dtype in (torch.float16, torch.float32, torch.float64)
    assert plain((tensor,)) == (keys <= usual and real and type(tensor) in (Tensor, torch.nn.Parameter))
    assert plain((tensor,)) == (kind in MEMORY | {"half", "double"})


@pytest.mark.parametrize("kind", sorted(MADE_PLAIN))
def test_what_can_be_plain_is_made_so_within_the_graph(kind) -> None:
    leaf = torch.randn(3, 4).requires_grad_()
    tensor = KINDS[kind](leaf)
    (found,) = all_plain([tensor])
    assert plain((found,))
    assert torch.equal(found, tensor)
    assert found.requires_grad == tensor.requires_grad


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted(set(KINDS) - MADE_PLAIN - MEMORY - {"half", "double"}))
def test_what_cannot_is_refused_with_its_kind(kind) -> None:
    with pytest.raises(NotPlain, match="no memory that a kernel could read"):
        all_plain([KINDS[kind](torch.randn(3, 4))])


def test_rules_name_the_kind() -> None:
    x = torch.randn(3, 4)
    assert left_to_host(x, x, x) is backward_left_to_host((x, x, x)) is None
    assert left_to_host(x, x.to("meta"), x) == "operands on different devices"
    assert left_to_host(x, KINDS["subclass"](x), x) == backward_left_to_host([KINDS["subclass"](x)]) == "tensor subclass or proxy"
    assert backward_left_to_host((x, KINDS["sparse"](x))) == "tensor that is not strided"
    assert not plain((x, x.to("meta")))


def absolute_error(out: Tensor) -> Tensor:
    return torch.nn.functional.l1_loss(out, torch.zeros_like(out))


LOSSES = {
    "l1_loss": absolute_error,
    "smooth_l1": lambda out: torch.nn.functional.smooth_l1_loss(out, torch.full_like(out, 9.0), beta=0.1),
    "sgn": lambda out: (torch.sgn(out) * out.detach()).sum() + out.sum(),
    "norm of order 1": lambda out: torch.linalg.vector_norm(out, 1),
    "relu": lambda out: out.relu().sum(),
    "abs": lambda out: out.abs().sum(),
    "huber": lambda out: torch.nn.functional.huber_loss(out, torch.full_like(out, 9.0)),
    "largest": lambda out: out.amax(),
    "hinge": lambda out: (1 - out).clamp(min=0).sum(),
}


def test_training_on_forces_where_second_derivatives_vanish(module, kernel) -> None:
    """There torch makes zeros that have no memory."""

    def gradients(loss: Callable[[Tensor], Tensor], backend: str) -> list[Tensor]:
        operands = [operand.requires_grad_() for operand in inputs(module, BATCH)]
        with tpregistry.use(backend):
            (force,) = torch.autograd.grad(loss(module(*operands)), operands[1], create_graph=True)
            return list(torch.autograd.grad(force.pow(2).sum(), operands, materialize_grads=True))

    for loss in LOSSES.values():
        torch.testing.assert_close(gradients(loss, kernel), gradients(loss, "off"), rtol=1e-4, atol=1e-3)
