"""What one twin shows after each step: values, exceptions, hooks that fired, the module's state, settings of the process."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from tests.usage.sequences import Sequence
from tests.usage.steps import STEPS
from tests.usage.world import World


@dataclass(frozen=True)
class Shown:
    """A tensor as its user sees it; numbers in the widest dtype."""

    kind: tuple[Any, ...]
    dtype: str
    numbers: NDArray[Any] | None


@dataclass(frozen=True)
class Raised:
    """An exception, told by its type; ``kinds`` are also those that would have caught it."""

    kind: str
    message: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observation:
    """All that is compared after one step."""

    outcome: Any
    marks: tuple[str, ...]
    state: Any
    process: Any
    probe: Any


Watch = Callable[[int], None]


def observe(sequence: Sequence, ours: bool, wide: bool = False, watch: Watch = lambda place: None) -> list[Observation]:
    """The whole sequence in a world of its own; ``watch`` is told each step before it starts."""
    world = World(sequence.product, sequence.dtype, ours, wide)
    found = []
    try:
        for place, (name, seed) in enumerate(sequence.steps):
            watch(place)
            outcome = _attempt(lambda: STEPS[name].function(world, random.Random(seed)))  # noqa: B023  called here
            found.append(_observation(world, outcome))
    finally:
        world.close()
    return found


def _observation(world: World, outcome: Any) -> Observation:
    marks = tuple(world.marks)
    world.marks.clear()
    state = _attempt(lambda: _state(world))
    world.model.zero_grad()
    probe = _attempt(lambda: _probe(world))
    world.marks.clear()
    return Observation(outcome, marks, state, _process(), probe)


def _probe(world: World) -> Any:
    """After each step the same plain call, and its gradients."""
    operands = world.leaves(random.Random(0), 5)
    out = world.model(*operands)
    return out, world.gradients(out, *operands) if out.requires_grad else None


def _state(world: World) -> Any:
    model = world.model
    parameters = [(name, parameter.requires_grad, parameter.grad) for name, parameter in model.named_parameters()]
    return dict(model.state_dict()), parameters, [name for name, _ in model.named_buffers()]


def _process() -> tuple[Any, ...]:
    """Settings of the process, which a call changes no more than stock's does."""
    return (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state().sum().item() if torch.get_default_device().type == "cpu" else None,
    )


def _attempt(work: Callable[[], Any]) -> Any:
    try:
        return list(_shown(work()))
    except Exception as error:
        return Raised(type(error).__qualname__, f"{error}"[:300], tuple(kind.__qualname__ for kind in type(error).__mro__))


def _shown(value: Any) -> Iterator[Any]:
    """Flat, in order."""
    if isinstance(value, torch.Tensor):
        yield _tensor(value)
    elif isinstance(value, dict):
        yield list(value)
        for item in value.values():
            yield from _shown(item)
    elif isinstance(value, (list, tuple)):
        yield f"{len(value)} things"
        for item in value:
            yield from _shown(item)
    else:
        yield value if isinstance(value, (bool, int, float)) or value is None else str(value)


def _tensor(tensor: torch.Tensor) -> Shown:
    kind = (type(tensor).__name__, tuple(tensor.shape), tensor.requires_grad, tensor.device.type)
    value = tensor.detach()
    if value.is_meta or type(value) not in (torch.Tensor, torch.nn.Parameter):
        return Shown(kind, str(value.dtype), None)
    value = value.to_dense() if value.layout != torch.strided else value
    wide = torch.complex128 if value.is_complex() else torch.float64
    return Shown(kind, str(value.dtype), value.to(wide).resolve_conj().resolve_neg().numpy().copy())
