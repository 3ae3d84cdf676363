"""The life of a module: copied, pickled, moved, converted, replicated, wrapped."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import torch
from torch.nn.utils import parametrize

from tests.usage.steps.table import step
from tests.usage.world import Choose, Model, Tensor, World


@step(2)
def deepcopied(world: World, choose: Choose) -> Any:
    """The copy goes on, or the original."""
    made = copy.deepcopy(world.model)
    found = made(*world.operands(choose))
    if choose.random() < 0.7:
        world.model = made
    return found


@step()
def copied(world: World, choose: Choose) -> Any:
    """A shallow copy: a change of the one is a change of the other."""
    world.model.tp = copy.copy(world.tp)
    if choose.random() < 0.5:
        world.model = copy.copy(world.model)
    return world.model(*world.operands(choose))


@step()
def pickled(world: World, choose: Choose) -> Any:
    data = pickle.dumps(world.model)
    world.model = pickle.loads(data)
    return b"tpregistry" in data, world.model(*world.operands(choose))


@step()
def saved_whole(world: World, choose: Choose) -> Any:
    file = io.BytesIO()
    torch.save(world.model, file)
    file.seek(0)
    world.model = torch.load(file, weights_only=False)
    return b"tpregistry" in file.getvalue(), world.model(*world.operands(choose))


@step()
def copied_by_its_dictionary(world: World, choose: Choose) -> Any:
    made = world.tp.__class__.__new__(world.tp.__class__)
    torch.nn.Module.__init__(made)
    made.__dict__.update(copy.copy(world.tp.__dict__))
    world.model.tp = made
    return world.model(*world.operands(choose))


@step(2)
def converted(world: World, choose: Choose) -> Any:
    module = choose.choice((world.model, world.tp))
    module.to(world.dtype(choose.choice(("float32", "float64"))))
    return world.model(*world.operands(choose))


@step()
def converted_in_part(world: World, choose: Choose) -> Any:
    """The generated code alone is converted: the buffers of the product stay."""
    world.code.to(world.dtype(choose.choice(("float32", "float64"))))
    return world.model(*world.operands(choose))


@step()
def there_and_back(world: World, choose: Choose) -> Any:
    """Coefficients are rounded on the way."""
    before = world.tp.output_mask.dtype
    world.model.to(world.dtype(choose.choice(("float32", "bfloat16", "float16")))).to(before)
    return world.model(*world.operands(choose))


@step()
def moved_nowhere(world: World, choose: Choose) -> Any:
    world.model.to("cpu")
    world.model.cpu()
    return world.model(*world.operands(choose))


@step(0.5)
def low_precision(world: World, choose: Choose) -> Any:
    before = world.tp.output_mask.dtype
    other = copy.deepcopy(world.model).to(torch.bfloat16)
    operands = world.operands(choose, 5, dtype=torch.bfloat16, grad="x")
    out = other(*operands)
    return before == world.tp.output_mask.dtype, out, torch.autograd.grad(out.sum(), operands[0])


@step()
def emptied_and_filled(world: World, choose: Choose) -> Any:
    """As large models are loaded: on meta, then made, then filled."""
    state = copy.deepcopy(world.model.state_dict())
    world.model.zero_grad()
    world.model.to("meta").to_empty(device="cpu")
    world.model.load_state_dict(state)
    return world.model(*world.operands(choose))


@step()
def swapped_on_conversion(world: World, choose: Choose) -> Any:
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        world.model.to(world.dtype(choose.choice(("float32", "float64"))))
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    return world.model(*world.operands(choose))


@step()
def frozen(world: World, choose: Choose) -> Any:
    world.model.requires_grad_(choose.random() < 0.5)
    return world.model(*world.operands(choose))


@step()
def trained_or_evaluated(world: World, choose: Choose) -> Any:
    world.model.train(choose.random() < 0.5)
    world.model.zero_grad()
    return world.model.training


@step()
def shared_memory(world: World, choose: Choose) -> Any:
    world.model.share_memory()
    return world.model(*world.operands(choose))


@step()
def applied(world: World, choose: Choose) -> Any:
    """A function on every module, as initialisers are."""

    def init(module: torch.nn.Module) -> None:
        with torch.no_grad():
            for parameter in module.parameters(recurse=False):
                parameter.fill_(0.5)

    world.model.apply(init)
    return world.model(*world.operands(choose))


class Twice(torch.nn.Module):
    """A reparametrisation, as weight decay, LoRA and quantisers use."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight + weight.tanh()


@step()
def parametrised(world: World, choose: Choose) -> Any:
    if not world.tp.internal_weights or parametrize.is_parametrized(world.tp):
        return "no weights"
    parametrize.register_parametrization(world.tp, "weight", Twice())
    world.later("parametrisation", lambda: _plain_again(world))
    operands = world.leaves(choose, 5)
    return world.gradients(world.model(*operands), *operands)


def _plain_again(world: World) -> None:
    if parametrize.is_parametrized(world.tp):
        parametrize.remove_parametrizations(world.tp, "weight")


class LowRank(Model):
    """Wraps a model: its weights have a correction."""

    def forward(self, x: Tensor, y: Tensor, w: Any = None) -> Tensor:
        own = self.tp.weight if w is None else w
        return self.tp(x, y, own + 0.1 * own.cos())


@step()
def corrected_weights(world: World, choose: Choose) -> Any:
    if not world.tp.internal_weights or world.product == "square":
        return "no weights"
    operands = world.leaves(choose, 5)
    return world.gradients(LowRank(world.tp)(*operands), *operands)


@step()
def replicas(world: World, choose: Choose) -> Any:
    """What DataParallel does at each step, without its devices."""
    for _ in range(2):
        replica = _replica(world.model)
        operands = world.leaves(choose, 5)
        found = world.gradients(replica(*operands), *operands)
    return found


def _replica(module: torch.nn.Module) -> torch.nn.Module:
    made = module._replicate_for_data_parallel()
    for name, child in module._modules.items():
        made._modules[name] = None if child is None else _replica(child)
    for name, parameter in module._parameters.items():
        made._parameters.pop(name, None)
        setattr(made, name, parameter * 1 if parameter is not None else None)
    for name, buffer in module._buffers.items():
        made._buffers[name] = buffer.clone() if buffer is not None else None
    return made


@step()
def averaged(world: World, choose: Choose) -> Any:
    made = torch.optim.swa_utils.AveragedModel(world.model, use_buffers=choose.random() < 0.5)
    first = made(*world.operands(choose))
    with torch.no_grad():
        for parameter in world.model.parameters():
            parameter.add_(0.1)
    made.update_parameters(world.model)
    return first, made(*world.operands(choose))


@step()
def another_class(world: World, choose: Choose) -> Any:
    """An object's class is changed, as some wrappers do."""
    before = world.tp.__class__
    if before.__name__ == "Doubled":
        return "is"

    class Doubled(before):
        def forward(self, *args: Any, **kwargs: Any) -> Tensor:
            world.mark("doubled")
            return 2 * super().forward(*args, **kwargs)

    tp = world.tp
    tp.__class__ = Doubled
    world.later("class", lambda: setattr(tp, "__class__", before))
    return world.model(*world.operands(choose))


@step()
def attributes_of_its_own(world: World, choose: Choose) -> Any:
    world.tp.note = "a program's"
    world.tp.register_buffer("extra", torch.zeros(2), persistent=choose.random() < 0.5)
    return sorted(name for name in vars(world.tp) if not name.startswith("_"))


@step()
def other_ways_to_call(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose)
    if world.product == "square":
        return world.tp(x, w), world.tp.forward(x, w), type(world.tp).forward(world.tp, x, w)
    return world.tp(x, y, w), world.tp.forward(x, y, w), type(world.tp).forward(world.tp, x, y, w)
