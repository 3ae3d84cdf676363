"""What changes in place: operands after a forward, buffers, parameters, results."""

from __future__ import annotations

from typing import Any

import torch

from tests.usage.steps.table import step
from tests.usage.world import Choose, Tensor, World


def coefficients(world: World) -> dict[str, Tensor]:
    """The buffers that define what is computed."""
    return {name: buffer for name, buffer in world.model.named_buffers() if "_w3j" in name}


def changed(buffer: Tensor, choose: Choose) -> Tensor:
    """Values that files bring: the other signs, those of float32, foreign ones, the same."""
    kind = choose.choice(("signs", "rounded", "foreign", "same", "zero"))
    value = buffer.detach()
    made = {"signs": -value, "rounded": value.to(torch.bfloat16).to(value.dtype), "foreign": 1.5 * value, "same": value}
    return made.get(kind, torch.zeros_like(value)).clone()


@step(2)
def buffers_in_place(world: World, choose: Choose) -> Any:
    with torch.no_grad():
        for buffer in coefficients(world).values():
            buffer.copy_(changed(buffer, choose))
    return world.model(*world.operands(choose))


@step(2)
def entries_of_the_state_in_place(world: World, choose: Choose) -> Any:
    """A common way to load: into what state_dict gives."""
    for name, value in world.model.state_dict().items():
        if "_w3j" in name or name.endswith("weight"):
            value.copy_(changed(value, choose))
    return world.model(*world.operands(choose))


@step()
def one_buffer_in_place(world: World, choose: Choose) -> Any:
    names = sorted(coefficients(world))
    if not names:
        return "no coefficients"
    with torch.no_grad():
        world.model.get_buffer(choose.choice(names)).mul_(choose.choice((-1.0, 1.0, 0.5)))
    return world.model(*world.operands(choose))


@step()
def buffers_replaced(world: World, choose: Choose) -> Any:
    for name, buffer in coefficients(world).items():
        owner, _, key = name.rpartition(".")
        setattr(world.model.get_submodule(owner), key, changed(buffer, choose))
    return world.model(*world.operands(choose))


@step()
def buffers_in_inference_mode(world: World, choose: Choose) -> Any:
    with torch.inference_mode():
        for buffer in coefficients(world).values():
            buffer.copy_(changed(buffer, choose))
    return world.model(*world.operands(choose))


@step()
def buffers_replaced_by_inference_tensors(world: World, choose: Choose) -> Any:
    """Such tensors have no version to look at."""
    for name, buffer in coefficients(world).items():
        owner, _, key = name.rpartition(".")
        with torch.inference_mode():
            value = changed(buffer, choose)
        setattr(world.model.get_submodule(owner), key, value)
    with torch.inference_mode():
        first = world.model(*world.operands(choose))
        for buffer in coefficients(world).values():
            buffer.neg_()
        return first, world.model(*world.operands(choose))


@step(2, checked=True)
def operand_after_the_forward(world: World, choose: Choose) -> Any:
    """One that the backward needs, or not: an error, or the gradient of what was."""
    leaves = world.operands(choose, 5, grad=choose.choice(("x", "y", "w", "xy", "xyw")))
    right = world.gradients(world.model(*leaves), *leaves)
    used = [leaf if leaf is None else leaf * 1 for leaf in leaves]
    out = world.model(*used)
    _changed_in_place(choose.choice([operand for operand in used if operand is not None]))
    return _as(right, world.gradients(out, *leaves))


@step(checked=True)
def operand_between_two_backwards(world: World, choose: Choose) -> Any:
    leaves, found, place = world.leaves(choose, 5), [], choose.randrange(2)
    for changes in (False, True):
        used = [leaf if leaf is None else leaf * 1 for leaf in leaves]
        (first,) = torch.autograd.grad(world.model(*used).sin().sum(), used[0], create_graph=True)
        if changes:
            _changed_in_place(used[place])
        found.append(world.gradients(first, *leaves))
    return _as(*found)


def _changed_in_place(operand: Tensor) -> None:
    with torch.no_grad():
        operand.mul_(3)


def _as(right: Any, found: Any) -> Any:
    for mine, theirs in zip(found, right, strict=True):
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)
    return found


@step()
def result_in_place(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose)
    out = world.model(*operands)
    out += 1
    out.mul_(2)
    return out, world.gradients(out, *operands)


@step()
def result_in_place_by_rows(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose, 5)
    out = world.model(*operands)
    out[1:3] *= 2
    out[0] = 0
    return out, world.gradients(out, *operands)


@step()
def same_operand_changed_between_calls(world: World, choose: Choose) -> Any:
    operands = world.operands(choose, 5)
    found = [world.model(*operands)]
    for operand in operands:
        if operand is not None:
            operand.mul_(-0.5)
            found.append(world.model(*operands))
    return found


@step()
def optimiser(world: World, choose: Choose) -> Any:
    """Two steps of training on forces. The weights are put back: rounded otherwise, they would be compared in another dtype."""
    parameters = [parameter for parameter in world.model.parameters() if parameter.requires_grad]
    if not parameters:
        return "no parameters"
    kept = [parameter.detach().clone() for parameter in parameters]
    rule = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
    operands, losses = world.operands(choose, 5, grad="x"), []
    for _ in range(2):
        rule.zero_grad()
        out = world.model(*operands)
        (force,) = torch.autograd.grad(out.sum(), operands[0], create_graph=True)
        losses.append(force.square().sum() + out.square().mean())
        losses[-1].backward()
        rule.step()
    trained = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)
    return losses, trained


@step()
def weights_through_data(world: World, choose: Choose) -> Any:
    for parameter in world.model.parameters():
        parameter.data.add_(0.25)
        parameter.data = parameter.data.clone()
    return world.model(*world.operands(choose))
