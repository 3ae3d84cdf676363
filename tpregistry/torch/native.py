"""For torch on a CPU: a plan's compiled function called on tensors in place."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import torch

from tpregistry.lazy import lazy
from tpregistry.native import Machine, Writer, Written, compiler, pool
from tpregistry.plan import Operand, Plan
from tpregistry.plan.orders import owner, sweeps
from tpregistry.store import open_code
from tpregistry.torch.extents import require_extents
from tpregistry.torch.graph import Graph
from tpregistry.torch.memory import empty, scratch
from tpregistry.torch.plain import NotPlain

Tensor = torch.Tensor

_CPU = torch.device("cpu")
_REAL = {torch.float32: "float", torch.float64: "double"}


class CompiledPlan:
    """A plan as compiled code; its `vjp` is that of the plan, and so is every further order.

    Called with the plan's inputs, and the graph where operands lie at its nodes; returns the outputs as a tuple. Compiled on
    first use.
    """

    def __init__(self, plan: Plan, dtype: torch.dtype, writer: Writer) -> None:
        self.plan, self.dtype, self.writer = plan, dtype, writer
        self.engine = f"llvm, {self.lanes} lanes"
        self._has_sums = not all(operand.batched for operand in plan.outputs)

    @property
    def lanes(self) -> int:
        """Numbers in a vector of this CPU."""
        return compiler.vector_bytes() // self.dtype.itemsize

    def vjp(self) -> CompiledPlan:
        """All gradients at once."""
        return CompiledPlan(self.plan.vjp(), self.dtype, self.writer)

    def part(self, given: tuple[bool, ...], wanted: tuple[bool, ...]) -> CompiledPlan:
        """Only some outputs, where some inputs are zero and not given."""
        return CompiledPlan(self.plan.part(given, wanted), self.dtype, self.writer)

    def sources(self, derivatives: int) -> dict[str, str]:
        """Outline and LLVM IR of the function itself and of its derivatives."""
        found, kernel = {}, self
        for name in ("forward", "backward", "double backward")[: derivatives + 1]:
            found[name] = "\n\n".join(f"{sweep.written.outline}\n\n{sweep.written.source}" for sweep in kernel._sweeps)
            kernel = kernel.vjp()
        return found

    @lazy
    def _sweeps(self) -> list[CompiledPlan]:
        """This plan, or several that are run one after the other."""
        plans = sweeps(self.plan)
        return [self] if len(plans) == 1 else [CompiledPlan(plan, self.dtype, self.writer) for plan in plans]

    @lazy
    def written(self) -> Written:
        """The source, and the scratch memory that it wants."""
        return self.writer.write(self.plan, Machine(_REAL[self.dtype], self.lanes))

    @lazy
    def _owner(self) -> str:
        return owner(self.plan)

    @lazy
    def _functions(self) -> compiler.Functions:
        return compiler.load(self.written.source, open_code(self.writer.backend))

    def __call__(self, *operands: Tensor, graph: Graph | None = None) -> tuple[Tensor, ...]:
        """The plan's outputs for its inputs."""
        if len(self._sweeps) > 1:
            found = dict(pair for sweep in self._sweeps for pair in sweep.named(*operands, graph=graph))
            return tuple(found[operand.name] for operand in self.plan.outputs)
        batch = require_extents(operands, self.plan.inputs, self.dtype, _CPU, graph)
        inputs = [_rows(tensor) for tensor in operands]
        ranges = pool.parts(batch, self.written.nanoseconds, torch.get_num_threads())
        counts = [graph.count(operand.site) if graph is not None and operand.site else batch for operand in self.plan.outputs]
        outputs = [self._output(operand, rows, len(ranges)) for operand, rows in zip(self.plan.outputs, counts, strict=True)]
        if not batch:
            outputs = [out.zero_() for out in outputs]
        elif graph is not None:
            order = graph.order(self._owner)
            self._run(inputs, outputs, order.ranges(ranges), order.addresses)
        else:
            self._run(inputs, outputs, ranges)
        return tuple(out if o.batched else out.sum(0) for out, o in zip(outputs, self.plan.outputs, strict=True))

    def named(self, *operands: Tensor, graph: Graph | None) -> Iterator[tuple[str, Tensor]]:
        """The outputs with their names."""
        return zip((operand.name for operand in self.plan.outputs), self(*operands, graph=graph), strict=True)

    def _output(self, operand: Operand, rows: int, count: int) -> Tensor:
        """Fresh memory; for an operand that all samples share, zeros for each part of the batch."""
        if operand.batched:
            return empty(rows, operand.size, self.dtype)
        return torch.zeros((count, operand.size), dtype=self.dtype, device="cpu")

    def _run(self, inputs: list[Tensor], outputs: list[Tensor], ranges: list[pool.Part], order: Sequence[int] = ()) -> None:
        size = self.written.scratch * self.dtype.itemsize
        memory = scratch(size * len(ranges))
        tables = [self._table(inputs, outputs, number, order) for number in range(len(ranges) if self._has_sums else 1)]
        calls = [
            (tables[number if self._has_sums else 0].buffer_info()[0], begin, end, memory + number * size)
            for number, (begin, end) in enumerate(ranges)
        ]
        pool.run(self._functions, calls)

    def _table(self, inputs: list[Tensor], outputs: list[Tensor], number: int, order: Sequence[int]) -> array[int]:
        """Address and row stride of each operand, 0 where all samples share a row; then the addresses of an order."""
        table: list[int] = []
        for tensor, operand in zip(inputs, self.plan.inputs, strict=True):
            address = tensor.data_ptr()
            if not address and tensor.numel():  # called directly, and not as a differentiable function
                raise NotPlain(f"{operand.name} has no memory: give the kernel plain tensors")
            table += address, tensor.stride(0) if operand.batched else 0
        for tensor, operand in zip(outputs, self.plan.outputs, strict=True):
            offset = 0 if operand.batched else number * operand.size * tensor.itemsize
            table += tensor.data_ptr() + offset, operand.size if operand.batched else 0
        return array("q", [*table, *order])


def _rows(tensor: Tensor) -> Tensor:
    """The tensor itself where the numbers of a row are adjacent; rows may lie anywhere, or all at one place."""
    if tensor.is_neg():  # what lies in memory has the other sign
        return tensor.resolve_neg().contiguous()
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] < 2 else tensor.contiguous()


class Forward(CompiledPlan):
    """A plan with one output, returned bare: see `tpregistry.backend.OpaqueKernel`."""

    def __call__(self, *operands: Tensor, graph: Graph | None = None) -> Tensor:  # type: ignore[override]
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out)."""
        return super().__call__(*operands, graph=graph)[0]
