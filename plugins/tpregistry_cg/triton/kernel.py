"""cg-triton: a plan's kernels launched on tensors in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import torch

from tpregistry.lazy import lazy
from tpregistry.plan import Operand, Plan, orders
from tpregistry.plan.schedule import Schedule, schedule
from tpregistry.torch.extents import require_extents
from tpregistry.torch.graph import Graph
from tpregistry_cg.triton.emitter import Emitted, Pass, emit
from tpregistry_cg.triton.form import Form
from tpregistry_cg.triton.module import load

Tensor = torch.Tensor

DEFAULT = Form()
REGISTERS = 255
"""Of a thread, on NVIDIA's."""
ROWS = 1024
"""Rows of sums over all samples: as many programs as keep a GPU busy, and no more."""


class TritonPlan:
    """A plan as Triton kernels; its `vjp` is that of the plan, and so is every further order.

    Called with the plan's inputs, and the graph where operands lie at its nodes; returns the outputs as a tuple. Arithmetic is
    in float32 for 16-bit operands. Compiled on first use, on the current stream of the operands' device.
    """

    engine = "triton"

    def __init__(self, plan: Plan, dtype: torch.dtype, form: Form = DEFAULT) -> None:
        self.plan, self.dtype, self.form = plan, dtype, form
        self._roomy: set[str] = set()

    def vjp(self) -> TritonPlan:
        """All gradients at once."""
        return TritonPlan(self.plan.vjp(), self.dtype, self.form)

    def part(self, given: tuple[bool, ...], wanted: tuple[bool, ...]) -> TritonPlan:
        """Only some outputs, where some inputs are zero and not given."""
        return TritonPlan(self.plan.part(given, wanted), self.dtype, self.form)

    def sources(self, derivatives: int) -> dict[str, str]:
        """Schedule and Triton source of the function itself and of its derivatives."""
        found, kernel = {}, self
        for name in ("forward", "backward", "double backward")[: derivatives + 1]:
            found[name] = "\n\n".join(f"{sweep.schedule}\n\n{sweep.emitted.source}" for sweep in kernel.sweeps)
            kernel = kernel.vjp()
        return found

    @lazy
    def sweeps(self) -> list[TritonPlan]:
        """This plan, or several that are run one after the other."""
        plans = [self.plan] if self.form.atomic else orders.sweeps(self.plan)
        return [self] if len(plans) == 1 else [TritonPlan(plan, self.dtype, self.form) for plan in plans]

    @lazy
    def schedule(self) -> Schedule:
        """The order of its terms."""
        return schedule(self.plan)

    @property
    def real(self) -> str:
        """The dtype of the arithmetic."""
        return "float64" if self.dtype == torch.float64 else "float32"

    @lazy
    def emitted(self) -> Emitted:
        """The source and its kernels."""
        return emit(self.schedule, self.real, self.form)

    @lazy
    def owner(self) -> str:
        """The site whose nodes the sweep goes through; empty where it goes through samples or edges."""
        return "" if self.form.atomic else orders.owner(self.plan)

    @lazy
    def module(self) -> ModuleType:
        """The functions that Triton compiles."""
        return load(self.emitted.source)

    def __call__(self, *operands: Tensor, graph: Graph | None = None) -> tuple[Tensor, ...]:
        """The plan's outputs for its inputs."""
        if len(self.sweeps) > 1:
            found = dict(pair for sweep in self.sweeps for pair in sweep.named(*operands, graph=graph))
            return tuple(found[operand.name] for operand in self.plan.outputs)
        batch = require_extents(operands, self.plan.inputs, self.dtype, operands[0].device, graph)
        inputs = [_rows(operand) for operand in operands]
        owners = graph.count(self.owner) if graph is not None and self.owner else 0
        programs = [owners or -(-batch // one.samples) for one in self.emitted.passes]
        if not all(operand.batched for operand in self.plan.outputs):
            programs = [min(ROWS, count) for count in programs]
        rows = max(programs, default=1)
        outputs = [self._output(operand, batch, rows, graph, inputs[0]) for operand in self.plan.outputs]
        arguments = _arguments(inputs, self.plan.inputs) + _arguments(outputs, self.plan.outputs, sums=True)
        if graph is not None:
            order = graph.order(self.owner) if self.owner else None
            arguments += [order.first, order.edges, order.other] if order else [graph.senders, graph.receivers]
        with torch.cuda.device_of(inputs[0]):
            for one, count in zip(self.emitted.passes, programs, strict=True) if batch else ():
                self._launch(one, count, [*arguments, owners or batch, count])
        whole = (out if o.batched else out.sum(0) for out, o in zip(outputs, self.plan.outputs, strict=True))
        return tuple(out.to(self.dtype) for out in whole)

    def _output(self, operand: Operand, batch: int, rows: int, graph: Graph | None, like: Tensor) -> Tensor:
        """Fresh memory, zeros where kernels leave some of it; for an operand that all samples share, a row for each program."""
        count = graph.count(operand.site) if graph is not None and operand.site else batch if operand.batched else rows
        whole = batch and operand.batched and operand.name not in self.emitted.cleared
        return (like.new_empty if whole else like.new_zeros)((count, operand.size), dtype=self.stored(operand.name))

    def stored(self, output: str) -> torch.dtype:
        """In what an output is kept while kernels run."""
        return getattr(torch, self.real) if output in self.emitted.summed else self.dtype

    def _launch(self, one: Pass, programs: int, arguments: list[Any]) -> None:
        """One that turns out to keep registers in memory is compiled again, with all registers that there are, for later launches.

        At once, and loaded too: a CUDA graph may be captured next.
        """
        kernel, grid, roomy = getattr(self.module, one.name), (programs, one.parts), one.name in self._roomy
        launched = kernel[grid](*arguments, **options(one, self.form, roomy))
        if torch.version.cuda and getattr(launched, "n_spills", 0) and not roomy:
            self._roomy.add(one.name)
            _loaded(kernel.warmup(*arguments, grid=grid, **options(one, self.form, roomy=True)), grid)

    def named(self, *operands: Tensor, graph: Graph | None) -> Iterator[tuple[str, Tensor]]:
        """The outputs with their names."""
        return zip((operand.name for operand in self.plan.outputs), self(*operands, graph=graph), strict=True)


def _rows(operand: Tensor) -> Tensor:
    """The tensor itself where the numbers of a row are adjacent and of their own sign."""
    plain = operand.resolve_neg()
    return plain if plain.stride(-1) == 1 else plain.contiguous()


def _loaded(compiled: Any, grid: tuple[int, int]) -> Any:
    """Triton loads what it compiled when it is asked for a launch."""
    return compiled[grid]


def options(one: Pass, form: Form, roomy: bool) -> dict[str, Any]:
    """How Triton compiles a kernel: a lane a thread or a few, and, for NVIDIA's where it is said, every register that a thread can
    have: ptxas takes fewer, so that more programs fit on a multiprocessor, and now and then too few."""
    found: dict[str, Any] = {"num_warps": max(1, min(form.warps, one.samples * one.lanes // 32)), "enable_fp_fusion": True}
    return found | {"maxnreg": REGISTERS} if roomy else found


def _arguments(tensors: Sequence[Tensor], operands: Sequence[Operand], sums: bool = False) -> list[Any]:
    """Addresses and row strides; 0 where all samples read one row."""
    strides = [tensor.stride(0) if operand.batched or sums else 0 for tensor, operand in zip(tensors, operands, strict=True)]
    return [value for pair in zip(tensors, strides, strict=True) for value in pair]
