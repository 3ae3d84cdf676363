"""What a program sets around its calls, for many steps: modes, dtypes, hooks of saved tensors, settings of tpregistry."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import tpregistry
from tests.usage.steps.table import step
from tests.usage.world import Choose, World


@contextmanager
def set_to(read: Any, put: Any, value: Any) -> Iterator[None]:
    before = read()
    put(value)
    try:
        yield
    finally:
        put(before)


class Functions(TorchFunctionMode):
    """Sees every function of torch's and changes nothing."""

    def __torch_function__(self, function: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


class Dispatched(TorchDispatchMode):
    """Sees every operation and changes nothing."""

    def __torch_dispatch__(self, function: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


@contextmanager
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


CONTEXTS: dict[str, Any] = {
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "inference_mode": torch.inference_mode,
    "not inference_mode": lambda: torch.inference_mode(False),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no autocast": lambda: torch.autocast("cpu", enabled=False),
    "anomaly": lambda: torch.autograd.detect_anomaly(check_nan=False),
    "default float64": lambda: set_to(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "default bfloat16": lambda: set_to(torch.get_default_dtype, torch.set_default_dtype, torch.bfloat16),
    "deterministic": lambda: set_to(torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True),
    "two threads": lambda: set_to(torch.get_num_threads, torch.set_num_threads, 2),
    "lower precision": lambda: set_to(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"),
    "default device": lambda: torch.device("meta"),
    "cpu by default": lambda: torch.device("cpu"),
    "saved tensors are packed": lambda: torch.autograd.graph.saved_tensors_hooks(lambda t: [t.detach().clone()], lambda p: p[0]),
    "saved on the cpu": lambda: torch.autograd.graph.save_on_cpu(),
    "saved tensors may change": lambda: torch.autograd.graph.allow_mutation_on_saved_tensors(),
    "no threads of autograd": lambda: torch.autograd.set_multithreading_enabled(False),
    "functions seen": Functions,
    "operations seen": Dispatched,
    "views are kept": lambda: torch.autograd._force_original_view_tracking(True),
    "profiler": lambda: torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]),
    "warnings are errors": warnings_are_errors,
    "dual level": torch.autograd.forward_ad.dual_level,
}


@step(5)
def enter(world: World, choose: Choose) -> Any:
    """A context that lasts; the next steps are inside it."""
    name = choose.choice(list(CONTEXTS))
    context: AbstractContextManager[Any] = CONTEXTS[name]()
    world.enter(name, context)
    return world.model(*world.operands(choose))


@step(2)
def inside(world: World, choose: Choose) -> Any:
    """A forward inside, its backward outside."""
    operands = world.leaves(choose, 5)
    with CONTEXTS[choose.choice(list(CONTEXTS))]():
        out = world.model(*operands)
    return out, world.gradients(out.to(torch.float64), *operands)


@step()
def grad_mode(world: World, choose: Choose) -> Any:
    world.enter("grad mode", set_to(torch.is_grad_enabled, torch._C._set_grad_enabled, choose.random() < 0.5))
    return torch.is_grad_enabled()


@step()
def operations_counted(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose, 5)
    with FlopCounterMode(display=False) as counter:
        out = world.model(*operands)
        if choose.random() < 0.5:
            out.sin().sum().backward()
    return counter.get_total_flops()


@step()
def backward_counted(world: World, choose: Choose) -> Any:
    """The backward alone is inside the mode: it counts what runs, however much that is."""
    operands = world.leaves(choose, 5)
    out = world.model(*operands).sin().sum()
    with FlopCounterMode(display=False) as counter:
        out.backward()
    return counter.get_total_flops() > 0


CHOICES = ("off", "auto", "cg-llvm", "cg-hoist", "cg-dense", "e3nn", "cg-dense,e3nn", "auto,!cg-llvm")


@step(2)
def use(world: World, choose: Choose) -> Any:
    """Another backend from now on. Stock knows none, and gives the same."""
    name = choose.choice(CHOICES)
    if world.ours:
        world.enter("use", tpregistry.use(name, fallback="host"))
    else:
        world.later("use", lambda: None)
    return world.model(*world.operands(choose))


@step()
def another_backend_for_the_backward(world: World, choose: Choose) -> Any:
    operands, name = world.leaves(choose, 5), choose.choice(CHOICES)
    out = world.model(*operands)
    if not world.ours:
        return world.gradients(out, *operands)
    with tpregistry.use(name, fallback="host"):
        return world.gradients(out, *operands)
