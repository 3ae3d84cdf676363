"""Transforms of torch.func, of autograd.functional, and forward-mode derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad
from torch.func import functional_call, hessian, jacfwd, jacrev, jvp, vjp, vmap

from tests.usage.steps.table import step
from tests.usage.world import Choose, Tensor, World


def of_x_and_y(world: World, w: Tensor | None) -> Any:
    """The model as a function of two operands."""
    return lambda x, y: world.model(x, y, w)


@step()
def mapped(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 3, 2)
    if w is not None and w.dim() > 1:
        w = w[0]
    axes = choose.choice(((0, 0), (0, None), (None, 0), (1, 1)))
    given = [operand if axis is not None else operand[0] for operand, axis in zip((x, y), axes, strict=True)]
    if axes == (1, 1):
        w = None if w is None else (w if w.dim() == 1 else w[:1])
    return vmap(of_x_and_y(world, w), axes)(*given)


@step()
def mapped_over_weights(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 3, 2)
    return vmap(lambda x, y, w: world.model(x, y, w), (0, 0, None if w is None or w.dim() == 1 else 0))(x, y, w)


@step()
def gradients_per_sample(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 3)
    if w is not None and w.dim() > 1:
        w = w[0]
    return vmap(torch.func.grad(lambda x, y: world.model(x, y, w).sin().sum(), (0, 1)))(x, y)


@step()
def forward_derivative(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 3)
    return jvp(of_x_and_y(world, w), (x, y), (world.tensor(choose, *x.shape), world.tensor(choose, *y.shape)))


@step()
def dual_numbers(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 3)
    with forward_ad.dual_level():
        out = world.model(forward_ad.make_dual(x, world.tensor(choose, *x.shape)), y, w)
        return tuple(forward_ad.unpack_dual(out))


@step()
def reverse_derivative(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 3)
    out, back = vjp(of_x_and_y(world, w), x, y)
    return out, back(world.tensor(choose, *out.shape))


@step()
def jacobians(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 2)
    transform = choose.choice((jacrev, jacfwd))
    return transform(of_x_and_y(world, w), (0, 1))(x, y)


@step(0.5)
def hessians(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 2)
    return hessian(lambda x: world.model(x, y, w).sin().sum())(x)


@step()
def hessians_by_autograd(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 2)
    vectorize = choose.random() < 0.5
    return torch.autograd.functional.hessian(lambda x: world.model(x, y, w).sin().sum(), x, vectorize=vectorize)


@step()
def products_with_hessians(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 2)
    function = choose.choice((torch.autograd.functional.hvp, torch.autograd.functional.vhp))
    return function(lambda x: world.model(x, y, w).sin().sum(), x, world.tensor(choose, *x.shape))


@step(0.5)
def linearised(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 2)
    out, tangent = torch.func.linearize(of_x_and_y(world, w), x, y)
    return out, tangent(world.tensor(choose, *x.shape), world.tensor(choose, *y.shape))


@step()
def functionalised(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 3)
    return torch.func.functionalize(of_x_and_y(world, w))(x, y)


@step(2)
def called_with_other_state(world: World, choose: Choose) -> Any:
    """`functional_call` with parameters or buffers of the caller's."""
    kind = choose.choice(("parameters", "buffers", "both"))
    named = dict(world.model.named_parameters()) if kind != "buffers" else {}
    named |= dict(world.model.named_buffers()) if kind != "parameters" else {}
    state = {name: -0.5 * value.detach() for name, value in named.items() if "weight" in name or "_w3j" in name}
    operands = world.leaves(choose, 4)
    out = functional_call(world.model, state, tuple(operands))
    return out, torch.autograd.grad(out.sin().sum(), [o for o in operands if o is not None], allow_unused=True)


@step()
def ensembles(world: World, choose: Choose) -> Any:
    """One model's call mapped over stacked parameters."""
    stacked = {name: torch.stack([value, 2 * value]).detach() for name, value in world.model.named_parameters()}
    x, y, w = world.operands(choose, 3)
    return vmap(lambda state: functional_call(world.model, state, (x, y, w)))(stacked) if stacked else "no parameters"


@step()
def jvp_of_grad(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 3)
    gradient = torch.func.grad(lambda x: world.model(x, y, w).sin().sum())
    return jvp(gradient, (x,), (world.tensor(choose, *x.shape),))
