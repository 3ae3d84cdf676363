"""Interpreters of JAX that ask a primitive for more than jvp, transposition, batching and lowering.

They are answered for the same plan as plain jnp, whose operations they know; nothing here knows what a plan computes. An
interpreter that a program brings itself finds the host's own operations in what is traced inside ``tpregistry.use("off")``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import jet
from jax.extend.core import Primitive

Array = jax.Array
Expanded = Callable[..., Sequence[Array]]
"""A primitive's results in operations of JAX's own, from its operands and parameters."""


def register(primitive: Primitive, expanded: Expanded) -> None:
    """Answer for a primitive whose results are several."""
    jet.jet_rules[primitive] = partial(_jet, expanded)
    _rules("jax.experimental.roofline.roofline", "_rooflines")[primitive] = partial(_roofline, expanded)
    check = _rules("jax._src.checkify", "nan_error_check")
    if callable(check):
        _rules("jax._src.checkify", "error_checks")[primitive] = partial(check, primitive)


def _rules(module: str, name: str) -> Any:
    """A table of JAX's that has no public name; where a version has none, that interpreter does as with any other primitive."""
    try:
        return getattr(import_module(module), name, {})
    except ImportError:
        return {}


def _jet(expanded: Expanded, primals: Sequence[Array], series: Sequence[Sequence[Array]], **parameters: Any) -> Any:
    """Taylor coefficients of all that can move; indices cannot."""
    moving = [n for n, value in enumerate(primals) if jnp.issubdtype(value.dtype, jnp.inexact)]

    def of_moving(*values: Array) -> list[Array]:
        given = dict(enumerate(primals)) | dict(zip(moving, values, strict=True))
        return list(expanded(*given.values(), **parameters))

    return jet.jet(of_moving, [primals[n] for n in moving], [series[n] for n in moving], factorial_scaled=False)


def _roofline(expanded: Expanded, context: Any, *_: Any, **parameters: Any) -> Any:
    """The operations and bytes of what the plan says, not of how a kernel does it."""
    estimate = import_module("jax.experimental.roofline").roofline
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in context.avals_in]
    return estimate(partial(expanded, **parameters), mesh=context.mesh)(*shapes)[1]
