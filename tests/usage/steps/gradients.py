"""Gradients as programs ask for them: of some operands, twice, through losses with vanishing derivatives, with odd cotangents."""

from __future__ import annotations

from threading import Thread
from typing import Any

import torch
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils.checkpoint import checkpoint

from tests.usage.steps.table import step
from tests.usage.world import Choose, Tensor, World

SUBSETS = ("x", "y", "w", "xy", "xw", "yw", "xyw")


def smooth(tensor: Tensor) -> Tensor:
    """A scalar with derivatives of every order."""
    return tensor.sin().sum()


@step(2)
def grad(world: World, choose: Choose) -> Any:
    operands = world.operands(choose, grad=choose.choice(SUBSETS))
    return world.gradients(world.model(*operands), *operands)


@step()
def grad_of_some(world: World, choose: Choose) -> Any:
    """All may have gradients, and one is asked for."""
    operands = world.leaves(choose)
    out = world.model(*operands)
    asked = choose.choice(world.sources(*operands))
    return torch.autograd.grad(smooth(out), asked, allow_unused=True)


@step()
def backward(world: World, choose: Choose) -> Any:
    """Into `.grad`, which adds up."""
    operands = world.leaves(choose)
    for _ in range(2):
        smooth(world.model(*operands)).backward()
    return [operand if operand is None else operand.grad for operand in operands]


@step(2)
def double_grad(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose)
    out = world.model(*operands)
    first = torch.autograd.grad(smooth(out), operands[choose.randrange(2)], create_graph=True, allow_unused=True)
    return first, None if first[0] is None else world.gradients(first[0], *operands)


@step()
def training_on_forces(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose)
    out = world.model(*operands)
    (force,) = torch.autograd.grad(out.sum(), operands[0], create_graph=True)
    (force.square().sum() + out.square().sum()).backward()
    return [operand if operand is None else operand.grad for operand in operands]


@step()
def third_order(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose, 4)
    value = smooth(world.model(*operands))
    for n in (0, 1, 0):
        found = torch.autograd.grad(value, operands[n], create_graph=True, allow_unused=True)[0]
        if found is None:
            return "unused"
        value = smooth(found)
    return torch.autograd.grad(value, world.sources(*operands), allow_unused=True)


LOSSES = {
    "l1": lambda out: torch.nn.functional.l1_loss(out, torch.zeros_like(out)),
    "sign": lambda out: torch.sgn(out).sum(),
    "norm": lambda out: torch.linalg.vector_norm(out, 1),
    "huber": lambda out: torch.nn.functional.smooth_l1_loss(out, torch.zeros_like(out), beta=0.1),
    "abs": lambda out: out.abs().sum(),
    "relu": lambda out: out.relu().sum(),
    "round": lambda out: (out.round() + out.floor()).sum(),
    "clamp": lambda out: out.clamp(-0.5, 0.5).sum(),
    "max": lambda out: out.max(),
    "zero": lambda out: (out * 0).sum(),
    "mean": lambda out: out.mean(),
    "one number": lambda out: out[0, 0],
    "heaviside": lambda out: (out > 0).to(out.dtype).mul(out).sum(),
}


@step(2)
def grad_of_loss(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose, 5)
    loss = LOSSES[choose.choice(list(LOSSES))](world.model(*operands))
    return torch.autograd.grad(loss, world.sources(*operands), allow_unused=True)


@step(3)
def double_grad_of_loss(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose, 5)
    loss = LOSSES[choose.choice(list(LOSSES))](world.model(*operands))
    first = torch.autograd.grad(loss, operands[choose.randrange(2)], create_graph=True, allow_unused=True)
    if first[0] is None:
        return "unused"
    again = LOSSES[choose.choice(list(LOSSES))](first[0])
    return first, torch.autograd.grad(again, world.sources(*operands), allow_unused=True)


COTANGENTS = {
    "expanded": lambda out: torch.ones((), dtype=out.dtype).expand_as(out),
    "zero tensor": lambda out: torch._efficientzerotensor(out.shape, dtype=out.dtype),
    "transposed": lambda out: out.detach().t().contiguous().t(),
    "strided": lambda out: torch.stack([out.detach(), out.detach() * float("nan")], -1)[..., 0],
    "flipped": lambda out: torch.imag(torch.complex(out.detach(), out.detach()).conj()),
    "two": lambda out: TwoTensor(out.detach().clone(), out.detach().clone()),
    "another dtype": lambda out: out.detach().to(torch.float64 if out.dtype == torch.float32 else torch.float32),
    "another shape": lambda out: out.detach()[:-1],
    "meta": lambda out: out.detach().to("meta"),
    "sparse": lambda out: out.detach().to_sparse(),
    "subclass": lambda out: out.detach().as_subclass(type("Own", (torch.Tensor,), {})),
    "parameter": lambda out: torch.nn.Parameter(out.detach().clone()),
    "itself": lambda out: out,
    "inference": lambda out: _inference(out),
}


def _inference(out: Tensor) -> Tensor:
    with torch.inference_mode():
        return out.detach().clone() * 1


def plain(found: Any) -> Any:
    """What wrapper subclasses hold."""
    return [(tensor.a, tensor.b) if isinstance(tensor, TwoTensor) else tensor for tensor in found]


@step(2)
def odd_cotangent(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose, 5)
    out = world.model(*operands)
    cotangent = COTANGENTS[choose.choice(list(COTANGENTS))](out)
    return plain(torch.autograd.grad(out, world.sources(*operands), cotangent, allow_unused=True))


@step()
def odd_cotangent_of_the_backward(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose, 5)
    (first,) = torch.autograd.grad(smooth(world.model(*operands)), operands[0], create_graph=True)
    cotangent = COTANGENTS[choose.choice(list(COTANGENTS))](first)
    return plain(torch.autograd.grad(first, world.sources(*operands), cotangent, allow_unused=True))


@step()
def batched_cotangents(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose, 3)
    out = world.model(*operands)
    cotangents = world.tensor(choose, 2, *out.shape)
    return torch.autograd.grad(out, world.sources(*operands), cotangents, is_grads_batched=True, allow_unused=True)


@step()
def dual_cotangent(world: World, choose: Choose) -> Any:
    """Forward over reverse: the cotangent carries a tangent."""
    from torch.autograd import forward_ad

    operands = world.leaves(choose, 3)
    out = world.model(*operands)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(out.detach(), world.tensor(choose, *out.shape))
        found = torch.autograd.grad(out, operands[0], dual)
        return [tuple(forward_ad.unpack_dual(tensor)) for tensor in found]


@step()
def retained_graph(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose)
    out = world.model(*operands)
    found = [world.gradients(out, *operands, retain_graph=True) for _ in range(2)]
    return found, world.gradients(out, *operands)


@step()
def freed_graph(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose)
    out = world.model(*operands)
    world.gradients(out, *operands)
    return world.gradients(out, *operands)


@step()
def backward_first_then_double(world: World, choose: Choose) -> Any:
    """One graph: a plain gradient, then one with a graph, then its gradient."""
    operands = world.leaves(choose)
    out = world.model(*operands)
    plain_ones = world.gradients(out, *operands, retain_graph=True)
    (first,) = torch.autograd.grad(smooth(out), operands[1], create_graph=True, allow_unused=True)
    return plain_ones, None if first is None else world.gradients(first, *operands)


@step()
def hooks_of_tensors(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose)
    out = world.model(*operands)
    out.register_hook(lambda cotangent: world.mark("cotangent") or 2 * cotangent)
    operands[0].register_hook(lambda gradient: world.mark("gradient") or gradient + 1)
    if choose.random() < 0.5:
        out.retain_grad()
    found = world.gradients(out, *operands)
    return found, out.is_leaf


@step()
def checkpointed(world: World, choose: Choose) -> Any:
    operands, reentrant = world.leaves(choose), choose.random() < 0.5
    out = checkpoint(lambda *given: world.model(*given).sin(), *operands, use_reentrant=reentrant)
    if reentrant:
        out.sum().backward()
        return [operand if operand is None else operand.grad for operand in operands]
    (first,) = torch.autograd.grad(out.sum(), operands[0], create_graph=True)
    return first, world.gradients(first, *operands)


@step()
def backward_elsewhere(world: World, choose: Choose) -> Any:
    """The backward runs inside a context that the forward did not know."""
    operands = world.leaves(choose)
    contexts = {
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
        "no_grad": torch.no_grad,
        "inference": torch.inference_mode,
        "anomaly": lambda: torch.autograd.detect_anomaly(check_nan=False),
        "default device": lambda: torch.device("meta"),
    }
    out = smooth(world.model(*operands))
    with contexts[choose.choice(list(contexts))]():
        return torch.autograd.grad(out, world.sources(*operands), allow_unused=True)


@step()
def backward_in_a_thread(world: World, choose: Choose) -> Any:
    operands, found = world.leaves(choose), []
    out = world.model(*operands)

    def work() -> None:
        try:
            found.append(world.gradients(out, *operands))
        except Exception as error:
            found.append(error)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return found


@step()
def several_outputs(world: World, choose: Choose) -> Any:
    """Two calls in one graph, one on the other's result."""
    x, y, w = world.leaves(choose, 5)
    first = world.model(x, y, w)
    second = world.model(x + first.mean(), y * first.std(), w)
    return world.gradients(second * second.detach() + first.sum(), x, y, w)


@step(0.5)
def gradcheck(world: World, choose: Choose) -> Any:
    if world.tp.output_mask.dtype != torch.float64 or world.wide:
        return "for float64"
    x, y, w = world.leaves(choose, 2)
    return torch.autograd.gradgradcheck(lambda *given: world.model(*given, w), (x, y), raise_exception=False)


@step()
def gradient_edges(world: World, choose: Choose) -> Any:
    """Multiplying gradients by the sum of another: what a penalty on gradients does."""
    operands = world.leaves(choose, 5)
    out = world.model(*operands)
    grads = torch.autograd.grad(out.sum(), world.sources(*operands), create_graph=True, allow_unused=True)
    penalty = sum(gradient.square().sum() for gradient in grads if gradient is not None)
    return world.gradients(penalty * out.mean(), *operands)
