"""For JAX on a CPU: a plan's compiled function as a call that XLA makes by itself."""

from __future__ import annotations

import ctypes
import hashlib
import re
import threading
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tpregistry.jax.graph import Graph
from tpregistry.jax.primitive import call
from tpregistry.machine import cores
from tpregistry.native import Machine, Writer, compiler
from tpregistry.native.handler import handler, row_bytes
from tpregistry.native.pool import parts
from tpregistry.native.team import LIBC
from tpregistry.plan import Operand, Plan
from tpregistry.plan.orders import owner
from tpregistry.store import open_code

Array = jax.Array
_REAL = {"float32": "float", "float64": "double"}
_lock = threading.Lock()

SHARES = 4
"""Parts per thread of a sweep over nodes, which have more edges or fewer: who is done takes the next."""


class Target:
    """A compiled plan, registered with XLA under ``name``, which is a digest of its source."""

    def __init__(self, plan: Plan, dtype: str, writer: Writer) -> None:
        self.plan, self.dtype, itemsize = plan, np.dtype(dtype), np.dtype(dtype).itemsize
        self.written = writer.write(plan, Machine(_REAL[dtype], compiler.vector_bytes() // itemsize, "i32"))
        scratch = self.written.scratch * itemsize
        self.row = row_bytes(plan, scratch)[1]
        self.source = "\n".join([self.written.source, *handler(plan, itemsize, scratch, api_version()), ""])
        self.name = f"tpregistry_{writer.backend}_" + hashlib.sha256(self.source.encode()).hexdigest()[:24]
        _register(self.name, self.source, writer.backend)

    def __call__(self, *operands: Array, graph: Graph | None = None) -> tuple[Array, ...]:
        """The plan's outputs for its inputs, while a program is lowered."""
        dtype = operands[0].dtype
        if dtype != self.dtype:
            raise TypeError(f"this kernel was compiled for {self.dtype}, and is called with {dtype}")
        batch = next(len(x) for x, o in zip(operands, self.plan.inputs, strict=True) if o.batched and not o.site)
        if not batch:
            return tuple(jax.numpy.zeros(self._shape(o, 0, graph) if o.batched else (o.size,), dtype) for o in self.plan.outputs)
        count = len(parts(batch, self.written.nanoseconds, cores()))
        if graph is not None:
            order = graph.order(owner(self.plan))
            operands = *self._padded(operands), *order
            count = count if count == 1 else min(SHARES * count, len(order.first) - 1)
        shapes = [jax.ShapeDtypeStruct(self._shape(o, batch if o.batched else count, graph), dtype) for o in self.plan.outputs]
        results = jax.ffi.ffi_call(self.name, [*shapes, jax.ShapeDtypeStruct((count, self.row), np.uint8)])(*operands)
        return tuple(r if o.batched else r.sum(0) for r, o in zip(results, self.plan.outputs, strict=False))

    def _shape(self, operand: Operand, rows: int, graph: Graph | None) -> tuple[int, int]:
        return (graph.count(operand.site) if graph and operand.site else rows, operand.size)

    def _padded(self, operands: Sequence[Array]) -> list[Array]:
        """Edges to a receiver that is not there read a row of zeros after the last."""
        padding = ((0, 1), (0, 0))
        sites = (operand.site for operand in self.plan.inputs)
        return [jax.numpy.pad(x, padding) if site == "receiver" else x for x, site in zip(operands, sites, strict=True)]


class Sweeps:
    """A plan with outputs at receivers and others: a sweep for each kind.

    The first leaves out edges whose receiver is not there; of the second, which goes by senders, each edge has its row.
    """

    def __init__(self, plan: Plan, dtype: str, writer: Writer) -> None:
        given, here = (True,) * len(plan.inputs), tuple(operand.site == "receiver" for operand in plan.outputs)
        self._names = [operand.name for operand in plan.outputs]
        self.targets = [target(plan.part(given, wanted), dtype, writer) for wanted in (here, tuple(not h for h in here))]

    def __call__(self, *operands: Array, graph: Graph | None = None) -> tuple[Array, ...]:
        """See `Target`."""
        found: dict[str, Array] = {}
        for one in self.targets:
            found |= zip((operand.name for operand in one.plan.outputs), one(*operands, graph=graph), strict=True)
        return tuple(found[name] for name in self._names)


@cache
def target(plan: Plan, dtype: str, writer: Writer) -> Any:
    """Compiled when it is first lowered."""
    kinds = {operand.site == "receiver" for operand in plan.outputs}
    return Sweeps(plan, dtype, writer) if len(kinds) > 1 else Target(plan, dtype, writer)


@cache
def api_version() -> tuple[int, int]:
    """Of XLA's interface, from the header that comes with it. Raises RuntimeError where it is one that we do not know."""
    header = (Path(jax.ffi.include_dir()) / "xla/ffi/api/c_api.h").read_text()
    found = [re.search(rf"#define XLA_FFI_API_{part} (\d+)", header) for part in ("MAJOR", "MINOR")]
    major, minor = (int(match[1]) if match else -1 for match in found)
    if major != 0:
        raise RuntimeError(
            f"XLA's foreign function interface is version {major}.{minor}; tpregistry knows 0.x (jax {jax.__version__})"
        )
    return major, minor


def _give_libc(table: int) -> None:
    """Write the addresses of the C library's functions into a module's table; those that a system lacks are not called."""
    library = ctypes.CDLL(None)
    places = (ctypes.c_void_p * len(LIBC)).from_address(table)
    for number, name in enumerate(LIBC):
        if hasattr(library, name):
            places[number] = ctypes.cast(getattr(library, name), ctypes.c_void_p).value


_registered: set[str] = set()


def _register(name: str, source: str, backend: str) -> None:
    with _lock:
        if name in _registered:
            return
        functions = compiler.load(source, open_code(backend))
        _give_libc(functions.engine.get_global_value_address("libc"))
        address = functions.engine.get_function_address("handler")
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(ctypes.c_void_p(address)), platform="cpu")
        _registered.add(name)


class XlaPlan:
    """A plan with one output as a kernel: traceable, and differentiable to any order."""

    def __init__(self, plan: Plan, dtype: str, writer: Writer) -> None:
        self.plan = plan
        self._compiled = partial(target, dtype=dtype, writer=writer)
        self.engine = f"llvm, {compiler.vector_bytes() // np.dtype(dtype).itemsize} lanes, by XLA"

    def __call__(self, x: Array, y: Array, w: Array, *, graph: Graph | None = None) -> Array:
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out)."""
        return call(self.plan, self._compiled, x, y, w, graph=graph)[0]

    def sources(self, derivatives: int) -> dict[str, str]:
        """Outline and LLVM IR of the function itself and of its derivatives."""
        found, plan = {}, self.plan
        for name in ("forward", "backward", "double backward")[: derivatives + 1]:
            compiled = self._compiled(plan)
            targets = getattr(compiled, "targets", [compiled])
            found[name] = "\n\n".join(f"{one.written.outline}\n\n{one.source}" for one in targets)
            plan = plan.vjp()
        return found
