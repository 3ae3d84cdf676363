"""The seam for JAX: how gate and tuner evaluate, time and isolate traceable kernels, jitted as programs run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from tpregistry import machine
from tpregistry.backend import Kernel
from tpregistry.frame import Array, Observed, Operands
from tpregistry.isolation import isolated
from tpregistry.jax.graph import Graph, graph
from tpregistry.jax.patterns import KEPT, Within, function, layer, pattern
from tpregistry.processes import launched
from tpregistry.store.evidence import EVERYWHERE

T = TypeVar("T")
NAMES = ("x", "y", "w")


class JaxFrame:
    """See `tpregistry.frame.Frame`. What is timed is what ``within`` makes of a kernel: a layer of a model."""

    name = "jax"
    scalings = True
    """XLA fuses e3nn-jax's slices, broadcasts and concatenations into loops that choose a piece for each number: 20 times the
    time of a kernel on a CPU, and as long as a product, next to which they stand in each layer."""
    batches = (EVERYWHERE,)

    def __init__(self, within: Within = layer) -> None:
        self.within = within

    def environment(self, device: str) -> dict[str, str]:
        """CPU or accelerator model, cores and jax version."""
        described = {"jax": jax.__version__, "python": machine.python_line()}
        if device == "cpu":
            return described | {"device": machine.cpu_model(), "threads": str(machine.cores())}
        return described | {"device": jax.devices()[0].device_kind}

    def may_measure(self) -> bool:
        """Not among several processes: they would disagree, and trace different programs."""
        return jax.process_count() == 1 and launched()[1] <= 1

    def isolated(self, work: Callable[[], T]) -> T:
        """In a thread of its own, where nothing is being traced and no context of the caller's is in force."""
        return isolated(work, _plain)

    def observe(self, kernel: Kernel, operands: Operands, dtype: str, device: str, order: int) -> Observed:
        """Evaluate out, then dx, dy, dw, then ddx, ddy, ddw, ddg; and look whether inputs were changed or handed back."""
        arrays = _arrays(operands, dtype, device)
        before = {name: np.array(array) for name, array in arrays.items()}
        evaluate = _evaluator(kernel, order, device)
        edges = _graph(operands)
        values = evaluate(edges, *arrays.values())
        faults = _output_faults(values["out"], arrays["g"])
        kept = {name: np.array(value) for name, value in values.items()}
        if not faults:
            jax.block_until_ready(evaluate(edges, *(2 * array for array in arrays.values())))
            again = np.array_equal(kept["out"], np.array(values["out"]), equal_nan=True)
            faults += [] if again else ["returns memory that the next call overwrites"]
        faults += [f"changes its input {name}" for name in arrays if not np.array_equal(np.array(arrays[name]), before[name])]
        return Observed({name: np.asarray(value, np.float64) for name, value in kept.items()}, tuple(faults))

    def usage_faults(self, kernel: Kernel, operands: Operands, dtype: str, device: str, order: int) -> tuple[str, ...]:
        """None: arrays do not change, and what is differentiated is what was traced."""
        return ()

    def may_look(self, kernel: Kernel) -> bool:
        """Where code was generated: what is made of JAX's own functions XLA compiles anew for every program, in seconds."""
        return hasattr(kernel, "sources")

    def thunk(self, kernel: Kernel, operands: Operands, dtype: str, device: str, order: int) -> Callable[[], Any]:
        """A layer around the kernel: forward; with gradients; or the pattern of training on forces, see `patterns`."""
        arrays = _arrays(operands, dtype, device)
        timed, inputs = pattern(kernel, order, self.within), (_graph(operands), *arrays.values())

        def once() -> Any:
            return jax.block_until_ready(timed(*inputs))

        return once

    def numbers(self, result: Any) -> list[Array]:
        """Of arrays, however nested."""
        return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(result)]

    def other_orders(self, asked: int) -> tuple[int, ...]:
        """Calls are decided while they are traced, when nobody knows yet which gradients will be taken."""
        return tuple(order for order in (0, 1, 2) if asked and order != asked)

    def free_bytes(self, device: str) -> int:
        """Free device memory; on a CPU what the system calls available."""
        stats = jax.devices()[0].memory_stats() if device != "cpu" else None
        return stats["bytes_limit"] - stats["bytes_in_use"] if stats else machine.free_bytes()


def _arrays(operands: Operands, dtype: str, device: str) -> dict[str, jax.Array]:
    """Copies: jax may share memory with numpy on a CPU."""
    return {name: jnp.array(operands.values[name], dtype=dtype, copy=True) for name in (*NAMES, "g", "a", "b", "c")}


@contextmanager
def _plain() -> Iterator[None]:
    """Compiled programs, checked by nobody: what a process that is being debugged measures is true of others too."""
    with jax.enable_x64(True), jax.disable_jit(False), jax.transfer_guard("allow"), jax.debug_nans(False), jax.debug_infs(False):
        yield


def _graph(operands: Operands) -> Graph | None:
    if operands.graph is None:
        return None
    edges = operands.graph
    return graph(jnp.asarray(edges.senders), jnp.asarray(edges.receivers), edges.sending, edges.nodes)


@lru_cache(maxsize=KEPT)
def _evaluator(kernel: Kernel, order: int, device: str) -> Callable[..., dict[str, Any]]:
    """out, its gradients and theirs, of a graph or None, x, y, w, g, a, b, c, as one program; out alone where its shape is wrong.

    What is differentiated twice is out with its gradients, as where a loss holds energies and forces: JAX takes out from
    other rules there than from those of a first derivative, so ddx, ddy and ddw have dx, dy and dw in them.

    On a CPU it is compiled without optimising machine code, which takes half of the time: numbers are checked here, speed
    is measured in programs of their own.
    """

    def evaluate(graph: Any, x: Any, y: Any, w: Any, g: Any, a: Any, b: Any, c: Any) -> dict[str, Any]:
        called = function(kernel, graph)

        def first(x: Any, y: Any, w: Any, g: Any) -> Any:
            out, pull = jax.vjp(called, x, y, w)
            return out, pull(g)

        values = {"out": called(x, y, w)}
        if order == 0 or getattr(values["out"], "shape", None) != g.shape or values["out"].dtype != g.dtype:
            return values
        (_, gradients), pull = jax.vjp(first, x, y, w, g)
        values |= dict(zip(("dx", "dy", "dw"), gradients, strict=True))
        return values if order == 1 else values | dict(zip(("ddx", "ddy", "ddw", "ddg"), pull((g, (a, b, c))), strict=True))

    return jax.jit(evaluate, compiler_options={"xla_backend_optimization_level": 0} if device == "cpu" else None)


def _output_faults(out: Any, like: jax.Array) -> list[str]:
    if not isinstance(out, jax.Array):
        return [f"returns {type(out).__name__}, not an array"]
    if (out.shape, out.dtype) != (like.shape, like.dtype):
        return [f"returns {out.shape} {out.dtype}, not {like.shape} {like.dtype}"]
    return []


FRAME = JaxFrame()
ALONE = JaxFrame(function)
"""For those who ask what a kernel takes by itself."""
