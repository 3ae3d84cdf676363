"""Programs that are traced, scripted, exported or compiled."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from tests.usage.steps.table import step
from tests.usage.world import Choose, World


def compiled(world: World, choose: Choose, backend: str) -> Any:
    """Values and gradients of a compiled model, on two sizes."""
    torch._dynamo.reset()
    function = torch.compile(world.model, backend=backend, dynamic=choose.choice((None, True, False)))
    found = []
    for lead in (5, 3):
        operands = world.leaves(choose, lead)
        out = function(*operands)
        found.append((out, world.gradients(out, *operands)))
    torch._dynamo.reset()
    return found


@step(2, slow=True)
def compiled_by_aot_eager(world: World, choose: Choose) -> Any:
    return compiled(world, choose, "aot_eager")


@step(1, slow=True)
def compiled_by_dynamo_alone(world: World, choose: Choose) -> Any:
    return compiled(world, choose, "eager")


@step(1, slow=True, inductor=True)
def compiled_by_inductor(world: World, choose: Choose) -> Any:
    return compiled(world, choose, "inductor")


@step(1, slow=True)
def compiled_forces(world: World, choose: Choose) -> Any:
    """A gradient inside a compiled function."""
    torch._dynamo.reset()

    def energy(x: Any, y: Any, w: Any) -> Any:
        return world.model(x, y, w).sin().sum()

    operands = world.leaves(choose, 5)
    value = torch.compile(energy, backend="aot_eager")(*operands)
    found = torch.autograd.grad(value, world.sources(*operands), allow_unused=True)
    torch._dynamo.reset()
    return value, found


@step(1, slow=True)
def compiled_backward(world: World, choose: Choose) -> Any:
    """Compiled autograd: the engine's graph is compiled."""
    from torch._dynamo import compiled_autograd

    operands = world.leaves(choose, 5)
    value = world.model(*operands).sin().sum()
    with compiled_autograd._enable(lambda graph: graph):
        value.backward()
    torch._dynamo.reset()
    return [operand if operand is None else operand.grad for operand in operands]


@step(1, slow=True)
def exported(world: World, choose: Choose) -> Any:
    operands = tuple(world.operands(choose, 5))
    program = torch.export.export(world.model, operands)
    names = {str(node.target) for node in program.graph.nodes}
    return any("tpregistry" in name for name in names), program.module()(*world.operands(choose, 5))


@step(slow=True)
def traced_by_jit(world: World, choose: Choose) -> Any:
    given = tuple(operand for operand in world.operands(choose, 5) if operand is not None)
    other = [operand for operand in world.operands(choose, 5) if operand is not None]
    return torch.jit.trace(world.model, given, check_trace=False)(*other)


@step(slow=True)
def scripted(world: World, choose: Choose) -> Any:
    return torch.jit.script(world.model)(*world.operands(choose, 5))


@step(slow=True)
def scripted_by_e3nn(world: World, choose: Choose) -> Any:
    from e3nn.util import jit

    given = [operand for operand in world.operands(choose, 5) if operand is not None]
    return jit.compile(world.tp)(*(given[:1] if world.product == "square" else given))


@step()
def traced_by_fx(world: World, choose: Choose) -> Any:
    operands = world.operands(choose, 5)
    holes = {"w": None} if operands[2] is None else {}
    return torch.fx.symbolic_trace(world.model, concrete_args=holes)(*operands)


@step(2)
def traced_by_proxies(world: World, choose: Choose) -> Any:
    """Forward, or forward and backward, on other numbers than it was traced with."""
    mode = choose.choice(("real", "fake", "symbolic"))
    with_gradients = choose.random() < 0.5

    def work(*operands: Any) -> Any:
        it = iter(operands)
        given = [None if hole else next(it) for hole in holes]
        out = world.model(*given)
        if not with_gradients:
            return out
        return out, *torch.autograd.grad(out.sin().sum(), [operand for operand in given if operand is not None], allow_unused=True)

    whole = world.leaves(choose, 5)
    holes = [operand is None for operand in whole]
    traced = make_fx(work, tracing_mode=mode)(*(operand for operand in whole if operand is not None))
    return traced(*(operand for operand in world.leaves(choose, 5) if operand is not None))


@step()
def backward_traced_by_proxies(world: World, choose: Choose) -> Any:
    """The forward ran before: its backward alone is traced, and run for another cotangent."""
    operands = world.leaves(choose, 5)
    out = world.model(*operands)
    traced = make_fx(lambda g: torch.autograd.grad(out, operands[0], g, retain_graph=True))(world.tensor(choose, *out.shape))
    return traced(world.tensor(choose, *out.shape))


@step()
def fakes(world: World, choose: Choose) -> Any:
    """Shapes alone, as planners of memory ask for them."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    operands = world.operands(choose, 5)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        given = [operand if operand is None else mode.from_tensor(operand) for operand in operands]
        return tuple(world.model(*given).shape)
