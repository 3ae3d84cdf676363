"""States that are loaded: whole, into a child, with missing or other entries."""

from __future__ import annotations

import io
from typing import Any

import torch

from tests.usage.steps.inplace import changed
from tests.usage.steps.table import step
from tests.usage.world import Choose, Tensor, World


def checkpoint_of(module: torch.nn.Module, choose: Choose) -> dict[str, Tensor]:
    """A state as another program has it: other weights, and coefficients of another time."""
    state = {name: value.detach().clone() for name, value in module.state_dict().items()}
    for name, value in state.items():
        if "_w3j" in name:
            state[name] = changed(value, choose)
        elif name.endswith("weight"):
            state[name] = 0.75 * value
    return state


@step(2)
def load(world: World, choose: Choose) -> Any:
    return str(world.model.load_state_dict(checkpoint_of(world.model, choose))), world.model(*world.operands(choose))


@step()
def load_the_product_alone(world: World, choose: Choose) -> Any:
    return str(world.tp.load_state_dict(checkpoint_of(world.tp, choose))), world.model(*world.operands(choose))


@step(2)
def load_the_generated_child_alone(world: World, choose: Choose) -> Any:
    return str(world.code.load_state_dict(checkpoint_of(world.code, choose))), world.model(*world.operands(choose))


@step()
def load_by_assignment(world: World, choose: Choose) -> Any:
    module = choose.choice((world.model, world.tp, world.code))
    found = module.load_state_dict(checkpoint_of(module, choose), assign=True)
    return str(found), world.model(*world.operands(choose))


@step()
def load_less(world: World, choose: Choose) -> Any:
    """Entries are missing: an error where it is strict."""
    state = checkpoint_of(world.model, choose)
    state.pop(choose.choice(sorted(state)))
    return str(world.model.load_state_dict(state, strict=choose.random() < 0.5))


@step()
def load_more(world: World, choose: Choose) -> Any:
    state = checkpoint_of(world.model, choose) | {"tp.other": torch.zeros(1)}
    return str(world.model.load_state_dict(state, strict=choose.random() < 0.5))


@step()
def load_wrong_shapes(world: World, choose: Choose) -> Any:
    state = {name: value[..., None] if "_w3j" in name else value for name, value in checkpoint_of(world.model, choose).items()}
    return str(world.model.load_state_dict(state))


@step()
def load_of_another_dtype(world: World, choose: Choose) -> Any:
    """Float32 files into a float64 model, and back."""
    dtype = world.dtype(choose.choice(("float32", "float64", "bfloat16")))
    state = {name: value.to(dtype) for name, value in checkpoint_of(world.model, choose).items()}
    return str(world.model.load_state_dict(state)), world.model(*world.operands(choose))


@step()
def save_and_load_the_state(world: World, choose: Choose) -> Any:
    file = io.BytesIO()
    torch.save(world.model.state_dict(), file)
    file.seek(0)
    return str(world.model.load_state_dict(torch.load(file, weights_only=True)))


@step()
def prefixed_states(world: World, choose: Choose) -> Any:
    """As DistributedDataParallel and averaged models name their entries."""
    state = world.model.state_dict(prefix="module.")
    torch.nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    return sorted(state), str(world.model.load_state_dict(state))
