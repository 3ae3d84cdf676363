"""A product of a JAX program, while it is traced: decide once for what is static, then write the chosen kernel into the program.

Nothing is left of us when the program runs. A program that is traced keeps its kernels until it is traced again; inside
`tpregistry.use` it is another program, see `follow_settings`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tpregistry import session, settings
from tpregistry.errors import TPError
from tpregistry.frame import Host
from tpregistry.jax.differentiable import differentiable
from tpregistry.jax.explicit import in_auto_mode
from tpregistry.jax.graph import Graph
from tpregistry.problem import DTYPES, Problem, bucket

Array = jax.Array
Call = Callable[..., Array]

MAPPED_BATCH = 1024
"""Samples for which a product of single samples is decided: such calls are mapped over, by how many is not seen."""


def product(problem: Problem, host: Host, x: Array, y: Array, w: Array) -> Array | None:
    """out (..., dim_out) of x (..., dim_in1), y (..., dim_in2) and w (weight_numel,); None where the host's own call shall run.

    ``problem`` is at any batch. Raises what `session.resolve` raises.
    """
    if not all(isinstance(operand, (jax.Array, np.ndarray)) for operand in (x, y, w)):
        return _left("operands that are no arrays")
    x, y, w = map(jnp.asarray, (x, y, w))
    rule = _left_to_host(x, y, w) or (f"dtype {x.dtype} of a {problem.dtype} problem" if str(x.dtype) != problem.dtype else None)
    if rule is not None:
        return _left(rule)
    lead = x.shape[:-1]

    def rows(kernel: Call, x: Array, y: Array, w: Array) -> Array:
        out = kernel(x.reshape(prod(lead), x.shape[-1]), y.reshape(prod(lead), y.shape[-1]), w)
        return out.reshape(*lead, out.shape[-1])

    return _chosen(problem, host, prod(lead) if lead else MAPPED_BATCH, rows, (x, y, w), len(lead))


def convolution(problem: Problem, host: Host, x: Array, y: Array, w: Array, graph: Graph) -> Array:
    """out (receivers, dim_out) of x (senders, dim_in1), y (edges, dim_in2) and w (edges, weight_numel) or (weight_numel,)."""
    rule = _left_to_host(x, y, w)

    def over(kernel: Call, x: Array, y: Array, w: Array, graph: Graph) -> Array:
        return kernel(x, y, w, graph=graph)

    out = _left(rule) if rule is not None else _chosen(problem, host, len(y), over, (x, y, w, graph), 0)
    return over(host.kernel, x, y, w, graph) if out is None else out


def _chosen(problem: Problem, host: Host, batch: int, call: Call, operands: Sequence[Any], lead: int) -> Array | None:
    """What ``call`` makes of the kernel that is decided for and the operands; None where that is the host's.

    The first ``lead`` axes of the result are those of the operands.
    """
    try:
        decision = session.resolve(_here(problem, bucket(batch), _precision()), host, "jax", device(), settings.current(), batch)
    except TPError:
        raise
    except Exception as error:  # nothing of ours may end a program that runs without it
        return _lost(f"deciding failed: {type(error).__name__}: {error}")
    decision.calls += 1
    if decision.kernel is None:
        return None
    try:
        return in_auto_mode(partial(call, differentiable(decision.kernel)), operands, lead)
    except Exception as error:
        if settings.current().backend.forced:
            raise
        return _lost(f"{decision.backend} raised {type(error).__name__}: {error}")


@lru_cache(maxsize=1024)
def _here(problem: Problem, batch: int, precision: str) -> Problem:
    return problem.at(batch=batch, precision=precision)


def _left_to_host(x: Array, y: Array, w: Array) -> str | None:
    """The rule by which the host's own code runs this call, or None."""
    if not all(isinstance(size, int) for size in (*x.shape, *y.shape)):
        return "symbolic shapes"
    if 0 in x.shape or 0 in y.shape[:-1]:
        return "empty operand"
    if str(x.dtype) not in DTYPES:
        return f"dtype {x.dtype}"
    if not x.dtype == y.dtype == w.dtype:
        return "operands of different dtypes"
    if any(jax.typeof(operand).memory_space is not jax.memory.Space.Device for operand in (x, y, w)):
        return "operands in the host's memory"
    return None


def _left(rule: str) -> None:
    session.made.left_to_host[rule] += 1


def _lost(why: str) -> None:
    """The host's own code, with one warning."""
    warnings.warn(f"tpregistry: {why}; the host's code runs", stacklevel=4)
    _left(why)


def device() -> str:
    """Where programs run unless they say otherwise; another platform gets plain jnp, see `primitive`."""
    return {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())


def _precision() -> str:
    """Of products of float32 on accelerators; CPUs have one."""
    return (
        "highest" if jax.default_backend() == "cpu" else str(getattr(jax.config, "jax_default_matmul_precision", None) or "default")
    )


@cache
def follow_settings() -> None:
    """Programs traced under other settings are other programs, for `jax.jit` too."""
    settings.contexts.append(jax.make_user_context(None))
