"""Hooks on the product, on its generated child, on all modules of the process; and their removal."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.modules import module as modules

from tests.usage.steps.table import step
from tests.usage.world import Choose, World


def target(world: World, choose: Choose) -> tuple[str, Any]:
    """The generated child most often: nobody looks for hooks there."""
    name = choose.choice(("code", "code", "tp", "model"))
    return name, getattr(world, name)


@step(2)
def forward_hook(world: World, choose: Choose) -> Any:
    name, module = target(world, choose)
    changes = choose.random() < 0.5

    def hook(_module: Any, _inputs: Any, out: Any) -> Any:
        world.mark(f"after {name}")
        return 2 * out if changes else None

    world.later("hook", module.register_forward_hook(hook, prepend=choose.random() < 0.5).remove)
    return world.model(*world.operands(choose))


@step(2)
def forward_pre_hook(world: World, choose: Choose) -> Any:
    name, module = target(world, choose)
    changes = choose.random() < 0.5

    def hook(_module: Any, inputs: Any) -> Any:
        world.mark(f"before {name}")
        return (2 * inputs[0], *inputs[1:]) if changes else None

    world.later("hook", module.register_forward_pre_hook(hook).remove)
    return world.model(*world.operands(choose))


@step()
def hook_with_keywords(world: World, choose: Choose) -> Any:
    name, module = target(world, choose)

    def hook(_module: Any, _inputs: Any, kwargs: Any, _out: Any) -> None:
        world.mark(f"after {name} {sorted(kwargs)}")

    world.later("hook", module.register_forward_hook(hook, with_kwargs=True, always_call=True).remove)
    return world.model(*world.operands(choose))


@step(2)
def backward_hook(world: World, choose: Choose) -> Any:
    name, module = target(world, choose)
    changes = choose.random() < 0.5

    def hook(_module: Any, inputs: Any, _outputs: Any) -> Any:
        world.mark(f"backward of {name}")
        return tuple(gradient if gradient is None else 2 * gradient for gradient in inputs) if changes else None

    world.later("hook", module.register_full_backward_hook(hook).remove)
    operands = world.leaves(choose, 5)
    return world.gradients(world.model(*operands), *operands)


@step()
def backward_pre_hook(world: World, choose: Choose) -> Any:
    name, module = target(world, choose)

    def hook(_module: Any, outputs: Any) -> Any:
        world.mark(f"before backward of {name}")
        return tuple(2 * gradient for gradient in outputs)

    world.later("hook", module.register_full_backward_pre_hook(hook).remove)
    operands = world.leaves(choose, 5)
    return world.gradients(world.model(*operands), *operands)


@step()
def global_hook(world: World, choose: Choose) -> Any:
    def mark(module: Any, *_: Any) -> None:
        if world.owns(module):
            world.mark(type(module).__name__)

    kinds = (
        modules.register_module_forward_hook,
        modules.register_module_forward_pre_hook,
        modules.register_module_full_backward_hook,
        modules.register_module_full_backward_pre_hook,
    )
    world.later("global hook", choose.choice(kinds)(mark).remove)
    operands = world.leaves(choose, 5)
    return world.gradients(world.model(*operands), *operands)


@step()
def hooks_of_states(world: World, choose: Choose) -> Any:
    module = choose.choice((world.model, world.tp, world.code))
    world.later("hook", module.register_state_dict_pre_hook(lambda *_: world.mark("state asked")).remove)
    world.later("hook", module.register_load_state_dict_post_hook(lambda *_: world.mark("state loaded")).remove)
    return str(world.model.load_state_dict(world.model.state_dict()))


@step()
def hook_of_parameters(world: World, choose: Choose) -> Any:
    for parameter in world.model.parameters():
        if parameter.requires_grad:
            world.later("hook", parameter.register_post_accumulate_grad_hook(lambda _: world.mark("accumulated")).remove)
    world.model(*world.leaves(choose)).sin().sum().backward()
    return [parameter.grad for parameter in world.model.parameters()]


@step(4)
def undo(world: World, choose: Choose) -> Any:
    """A hook, patch or context goes."""
    return [world.undo() for _ in range(choose.choice((1, 1, 2, 5)))]


@step()
def hook_that_raises(world: World, choose: Choose) -> Any:
    class Stop(Exception):
        pass

    def hook(*_: Any) -> None:
        raise Stop

    handle = target(world, choose)[1].register_forward_hook(hook)
    try:
        world.model(*world.operands(choose))
    except Stop:
        world.mark("stopped")
    finally:
        handle.remove()
    return "went on"


@step()
def features(world: World, choose: Choose) -> Any:
    """What extractors of features do: keep what the generated code gives and differentiate it."""
    kept: list[torch.Tensor] = []
    handle = world.code.register_forward_hook(lambda _module, _inputs, out: kept.append(out))
    operands = world.leaves(choose, 5)
    world.model(*operands)
    handle.remove()
    return len(kept), [world.gradients(out, *operands) for out in kept]
