"""Classes and objects that are patched: methods of e3nn and torch, generated code that is wrapped, replaced or edited."""

from __future__ import annotations

import operator
import types
from typing import Any

import torch
from e3nn import o3
from e3nn.util.codegen import CodeGenMixin

from tests.usage.steps.table import step
from tests.usage.world import Choose, Tensor, World

METHODS = (
    (CodeGenMixin, "__setstate__"),
    (CodeGenMixin, "__getstate__"),
    (torch.nn.Module, "_apply"),
    (torch.nn.Module, "_load_from_state_dict"),
    (torch.nn.Module, "_replicate_for_data_parallel"),
    (torch.nn.Module, "__setstate__"),
    (torch.nn.Module, "_call_impl"),
    (torch.nn.Module, "state_dict"),
    (torch.nn.Module, "__setattr__"),
    (o3.TensorProduct, "_get_weights"),
)


@step(3)
def method_of_a_class(world: World, choose: Choose) -> Any:
    """It marks that it was called for a module of the program's."""
    owner, name = choose.choice(METHODS)
    before = getattr(owner, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, o3.TensorProduct) or world.owns(self):
            world.mark(f"{owner.__name__}.{name} of {type(self).__name__}")
        return before(self, *args, **kwargs)

    world.patch(owner, name, method)
    return world.model(*world.operands(choose))


@step()
def forward_of_the_class(world: World, choose: Choose) -> Any:
    before = o3.TensorProduct.forward

    def forward(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        world.mark("forward")
        return 2 * before(self, *args, **kwargs)

    world.patch(o3.TensorProduct, "forward", forward)
    return world.model(*world.operands(choose))


@step()
def forward_of_the_object(world: World, choose: Choose) -> Any:
    tp, before = world.tp, world.tp.forward
    tp.forward = types.MethodType(lambda self, *args: world.mark("forward") or 2 * before(*args), tp)
    world.later("forward", lambda: vars(tp).pop("forward", None))
    return world.model(*world.operands(choose))


class Wrapper(torch.nn.Module):
    """As quantisers and profilers wrap what they find."""

    def __init__(self, code: torch.nn.Module) -> None:
        super().__init__()
        self.code = code

    def forward(self, *operands: Tensor) -> Tensor:
        return 3 * self.code(*operands)


@step(2)
def wrapped_code(world: World, choose: Choose) -> Any:
    tp, before = world.tp, world.code
    tp._compiled_main_left_right = Wrapper(before)
    world.later("wrapper", lambda: setattr(tp, "_compiled_main_left_right", before))
    return world.model(*world.operands(choose))


@step()
def call_of_the_code(world: World, choose: Choose) -> Any:
    """The generated object has a forward of a program's."""
    code, before = world.code, world.code.forward
    code.forward = lambda *operands: 3 * before(*operands)
    world.later("forward", lambda: vars(code).pop("forward", None))
    return world.model(*world.operands(choose))


@step()
def code_of_another(world: World, choose: Choose) -> Any:
    """A model's generated code is that of another model, which has its own buffers."""
    import copy

    other = copy.deepcopy(world.code)
    with torch.no_grad():
        for buffer in other.buffers():
            buffer.neg_()
    world.tp._compiled_main_left_right = other
    return world.model(*world.operands(choose))


@step()
def edited_code(world: World, choose: Choose) -> Any:
    """A pass over the generated graph: its result is halved."""
    code = world.code
    if not isinstance(code, torch.fx.GraphModule):
        return "no graph"
    output = next(node for node in code.graph.nodes if node.op == "output")
    with code.graph.inserting_before(output):
        half = code.graph.call_function(operator.mul, (output.args[0], 0.5))
    output.args = (half,)
    code.recompile()
    return world.model(*world.operands(choose))


@step()
def retraced_code(world: World, choose: Choose) -> Any:
    """The generated code becomes TorchScript, as e3nn made it before."""
    if not isinstance(world.code, torch.fx.GraphModule):
        return "no graph"
    tp, before = world.tp, world.code
    tp._compiled_main_left_right = torch.jit.script(before)
    try:  # not for longer: how often TorchScript ran decides what it gives under transforms
        operands = world.leaves(choose, 5)
        return world.gradients(world.model(*operands), *operands)
    finally:
        tp._compiled_main_left_right = before


@step()
def compiled_in_place(world: World, choose: Choose) -> Any:
    """`Module.compile` sets how a module is called; what it computes is the same."""
    module = choose.choice((world.tp, world.code))
    before = module._compiled_call_impl
    module._compiled_call_impl = module._call_impl
    world.later("compiled call", lambda: setattr(module, "_compiled_call_impl", before))
    return world.model(*world.operands(choose))


@step(0.5)
def torch_functions(world: World, choose: Choose) -> Any:
    """`torch.einsum` is patched, as tracers do: the generated code calls it."""
    before, seen = torch.einsum, []
    torch.einsum = lambda *args: seen.append(1) or before(*args)
    try:
        return world.model(*world.operands(choose))
    finally:
        torch.einsum = before


@step()
def instructions(world: World, choose: Choose) -> Any:
    """What is written on a product and not what it does: stock looks at its code alone."""
    before = world.tp.instructions
    world.tp.instructions = [ins._replace(path_weight=2 * ins.path_weight) for ins in before]
    tp = world.tp
    world.later("instructions", lambda: setattr(tp, "instructions", before))
    return world.model(*world.operands(choose))
