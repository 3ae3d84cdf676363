"""The seam for torch: how gate and tuner evaluate, time and isolate torch kernels."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from tpregistry import machine
from tpregistry.backend import Kernel
from tpregistry.frame import Array, Observed, Operands
from tpregistry.isolation import isolated, kept
from tpregistry.layout import Layout
from tpregistry.processes import launched
from tpregistry.store.evidence import BATCHES
from tpregistry.torch import usage
from tpregistry.torch.differentiable import differentiable
from tpregistry.torch.graph import Graph
from tpregistry.torch.laid import laid

T = TypeVar("T")
Tensor = torch.Tensor
NAMES = ("x", "y", "w")
COTANGENTS = {"x": "a", "y": "b", "w": "c"}


class TorchFrame:
    """See `tpregistry.frame.Frame`."""

    name = "torch"
    scalings = False
    batches = BATCHES

    def environment(self, device: str) -> dict[str, str]:
        """CPU or GPU model, threads, driver and torch version."""
        kind = torch.device(device).type
        described = {
            "device": _device_model(device),
            "torch": torch.__version__,
            "python": machine.python_line(),
        }
        if kind == "cpu":
            return described | {"threads": str(torch.get_num_threads())}
        return described | {"cuda": str(torch.version.cuda or torch.version.hip)}

    def may_measure(self) -> bool:
        """Not among several processes (ranks would disagree, workers disturb each other), not in capture of a CUDA graph."""
        if torch.utils.data.get_worker_info() is not None:
            return False
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        several = (distributed and torch.distributed.get_world_size() > 1) or launched()[1] > 1
        return not several and not (torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing())

    def isolated(self, work: Callable[[], T]) -> T:
        """In a thread of its own, on the same GPU: gradient and inference mode, autocast, saved-tensor hooks and contexts stay
        outside."""
        gpu = torch.cuda.current_device() if torch.cuda.is_initialized() else -1
        return isolated(work, partial(_restored, gpu))

    def observe(self, kernel: Kernel, operands: Operands, dtype: str, device: str, order: int) -> Observed:
        """Evaluate out, then dx, dy, dw, then ddx, ddy, ddw, ddg; and look whether inputs were changed or handed back."""
        tensors = _tensors(operands, dtype, device, order > 0)
        before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        function = _function(kernel, operands, device)
        modules = len(sys.modules)
        with torch.set_grad_enabled(order > 0), kept() as changed:
            values = _evaluate(function, tensors, order, operands)
            faults = _reuse_faults(function, tensors, values["out"])
        if len(sys.modules) == modules:  # what an import sets, it sets once
            faults += [f"changes {what} of the program" for what in changed]
        faults += [f"changes its input {name}" for name in tensors if not torch.equal(tensors[name].detach(), before[name])]
        faults += _output_faults(values["out"], tensors)
        return Observed({name: _array(value) for name, value in values.items()}, tuple(faults))

    def usage_faults(self, kernel: Kernel, operands: Operands, dtype: str, device: str, order: int) -> tuple[str, ...]:
        """Operands that change in place, and gradients of some of them alone: see `usage`."""
        tensors = _tensors(operands, dtype, device, requires_grad=False)
        with kept():
            return tuple(usage.faults(_function(kernel, operands, device), tensors, order))

    def may_look(self, kernel: Kernel) -> bool:
        """Not in capture of a CUDA graph."""
        return not (torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing())

    def thunk(self, kernel: Kernel, operands: Operands, dtype: str, device: str, order: int) -> Callable[[], Any]:
        """Forward; forward and backward; or training on forces (dy with a graph, or dx without a y, then all gradients)."""
        tensors = _tensors(operands, dtype, device, order > 0)
        inputs = [tensors[name] for name in NAMES]
        pattern = (_forward, _backward, _force)[order]
        function = _function(kernel, operands, device)
        wait = partial(torch.cuda.synchronize, device) if torch.device(device).type == "cuda" else lambda: None

        def once() -> list[Tensor]:
            with torch.set_grad_enabled(order > 0):
                found = pattern(function, inputs, tensors)
            wait()
            return found

        return once

    def numbers(self, result: Any) -> list[Array]:
        """Of tensors."""
        return list(map(_array, result))

    def other_orders(self, asked: int) -> tuple[int, ...]:
        """None: every call says what it wants gradients of, and each order is a problem of its own."""
        return ()

    def free_bytes(self, device: str) -> int:
        """Free device memory; on a CPU what the system calls available."""
        if torch.device(device).type == "cuda":
            return torch.cuda.mem_get_info(device)[0]
        return machine.free_bytes()


def _function(kernel: Kernel, operands: Operands, device: str) -> Callable[..., Tensor]:
    """The kernel as a function of x, y and w; a convolution's is that of these operands' graph."""
    if operands.graph is None:
        return differentiable(kernel)
    edges = operands.graph
    senders, receivers = (torch.from_numpy(index).to(device) for index in (edges.senders, edges.receivers))
    return partial(differentiable(kernel), graph=Graph(senders, receivers, edges.sending, edges.nodes))


def _forward(function: Callable[..., Tensor], inputs: list[Tensor], tensors: dict[str, Tensor]) -> list[Tensor]:
    return [function(*inputs)]


def _backward(function: Callable[..., Tensor], inputs: list[Tensor], tensors: dict[str, Tensor]) -> list[Tensor]:
    out = function(*inputs)
    return [out, *gradients([out], _asking(inputs), [tensors["g"]], create_graph=False)]


def _force(function: Callable[..., Tensor], inputs: list[Tensor], tensors: dict[str, Tensor]) -> list[Tensor]:
    out = function(*inputs)
    name, cotangent = ("y", "b") if tensors["y"].numel() and tensors["y"].requires_grad else ("x", "a")
    force = gradients([out], [tensors[name]], [tensors["g"]])
    asked, cotangents = _asking(inputs), [tensors["g"], tensors[cotangent]]
    return [out, *force, *gradients([out, *force], asked, cotangents, create_graph=False)]


def _asking(inputs: list[Tensor]) -> list[Tensor]:
    return [tensor for tensor in inputs if tensor.requires_grad]


def _evaluate(function: Callable[..., Tensor], tensors: dict[str, Tensor], order: int, operands: Operands) -> dict[str, Tensor]:
    inputs = [tensors[name] for name in NAMES]
    values = {"out": function(*inputs)}
    if order == 0 or not isinstance(values["out"], Tensor) or values["out"].shape != tensors["g"].shape:
        return values
    asking = [name for name in NAMES if name not in operands.constant]
    names = operands.first or asking
    first = gradients([values["out"]], [tensors[name] for name in names], [tensors["g"]])
    values |= {f"d{name}": gradient for name, gradient in zip(names, first, strict=True)}
    if order > 1:
        cotangents = [tensors[COTANGENTS[name]] for name in names]
        second = gradients(first, [tensors[name] for name in (*asking, "g")], cotangents, create_graph=False)
        values |= {f"dd{name}": gradient for name, gradient in zip((*asking, "g"), second, strict=True)}
    return values


def gradients(outputs: list[Tensor], inputs: list[Tensor], cotangents: list[Tensor], create_graph: bool = True) -> list[Tensor]:
    """Gradients of all inputs; zeros for those that no output depends on."""
    pairs = [(out, cotangent) for out, cotangent in zip(outputs, cotangents, strict=True) if out.requires_grad]
    if not pairs:
        return [torch.zeros_like(tensor) for tensor in inputs]
    roots, seeds = zip(*pairs, strict=True)
    found = torch.autograd.grad(roots, inputs, seeds, create_graph=create_graph, allow_unused=True, materialize_grads=True)
    return list(found)


def _tensors(operands: Operands, dtype: str, device: str, requires_grad: bool) -> dict[str, Tensor]:
    return {
        name: _tensor(value, dtype, device, operands.layout, requires_grad and name not in operands.constant)
        for name, value in operands.values.items()
    }


def _tensor(value: Array, dtype: str, device: str, layout: Layout, requires_grad: bool) -> Tensor:
    dense = torch.from_numpy(np.ascontiguousarray(value)).to(device=device, dtype=getattr(torch, dtype), copy=True)
    tensor = laid(dense, layout)
    if requires_grad:  # results of other operations, as in a model; kernels may treat a graph's leaves differently
        return tensor.requires_grad_().view_as(tensor)
    return tensor


def _output_faults(out: Any, tensors: dict[str, Tensor]) -> list[str]:
    if not isinstance(out, Tensor):
        return [f"returns {type(out).__name__}, not a tensor"]
    faults = []
    if (out.shape, out.dtype, out.device) != (tensors["g"].shape, tensors["g"].dtype, tensors["g"].device):
        faults.append(f"returns {tuple(out.shape)} {out.dtype}, not {tuple(tensors['g'].shape)} {tensors['g'].dtype}")
    places = {tensor.untyped_storage().data_ptr(): name for name, tensor in tensors.items() if tensor.numel()}
    if out.numel() and out.untyped_storage().data_ptr() in places:
        faults.append(f"returns a view of its input {places[out.untyped_storage().data_ptr()]}")
    return faults


def _reuse_faults(function: Callable[..., Tensor], tensors: dict[str, Tensor], out: Any) -> list[str]:
    """Whether a later call writes into an earlier result."""
    if not isinstance(out, Tensor) or not out.numel():
        return []
    before = out.detach().clone()
    with torch.no_grad():
        function(*(2 * tensors[name].detach() for name in NAMES))
    same = torch.equal(before.nan_to_num(), out.detach().nan_to_num())
    return [] if same else ["returns memory that the next call overwrites"]


def _array(value: Any) -> Array:
    return value.detach().to(dtype=torch.float64, device="cpu").numpy() if isinstance(value, Tensor) else np.zeros(0)


@contextmanager
def _restored(gpu: int) -> Iterator[None]:
    """torch's process-wide default dtype and threads as they were; on a GPU, where a new thread is on the first.

    Generators are not put back here: other threads of the program draw from them while a problem is tuned.
    """
    before = torch.get_default_dtype(), torch.get_num_threads()
    try:
        with torch.cuda.device(gpu):
            yield
    finally:
        torch.set_default_dtype(before[0])
        torch.set_num_threads(before[1])


def _device_model(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return machine.cpu_model()


FRAME = TorchFrame()
