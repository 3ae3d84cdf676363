"""The functions that take the place of e3nn-jax's: what is static is read, then the kernel decided for it is called.

Arguments are prepared as the host prepares them, with its own helpers; what cannot be read is the host's own call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
from e3nn_jax._src.basic import _align_two_irreps_arrays
from e3nn_jax._src.tensor_products import _prepare_inputs, _validate_filter_ir_out

from tpregistry import session
from tpregistry.frame import Host
from tpregistry.jax.binding import product
from tpregistry_e3nn_jax import describe
from tpregistry_e3nn_jax.describe import Described
from tpregistry_e3nn_jax.host import as_host, host_of, irreps_array, stock

Array = jax.Array


@dataclass(frozen=True)
class Reading:
    """What a call computes, the host's own code for it, and its operands."""

    found: Described
    host: Host
    x: Any
    y: Any
    regroup: bool = False


def accelerated(name: str, read: Callable[..., Reading | None]) -> Any:
    """A function with the signature of the host's ``name``. Called with irreps alone, it is the host that answers."""
    own = stock(name)

    @wraps(own)
    def function(*args: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs.get("filter_ir_out"), Iterator):  # read here, and by the host again where it runs
            kwargs["filter_ir_out"] = list(kwargs["filter_ir_out"])
        operands = (*args, *(kwargs.get(operand) for operand in ("input", "input1", "input2")))
        only_irreps = any(isinstance(operand, (str, e3nn.Irreps)) for operand in operands)
        out = None if only_irreps else _run(read, args, kwargs)
        return own(*args, **kwargs) if out is None else out

    return function


def _run(read: Callable[..., Reading | None], args: Any, kwargs: Any) -> Any:
    try:
        reading = read(*args, **kwargs)
    except Exception as reason:  # what is not ours to do, or a fault of the call: the host does it, or says what is wrong
        session.made.left_to_host[str(reason)] += 1
        return None
    if reading is None:
        return None
    found = reading.found
    w = jnp.zeros((0,), found.problem.dtype)
    array = product(found.problem, reading.host, reading.x.array, reading.y.array, w) if found.problem.paths else None
    if array is None:
        return None
    out = irreps_array(found.irreps_out, array, found.zero_flags)
    return out.simplify() if reading.regroup else out


def read_tensor_product(
    input1: Any, input2: Any, *, filter_ir_out: Any = None, irrep_normalization: str | None = None, regroup_output: bool = True
) -> Reading | None:
    """Of `e3nn_jax.tensor_product`."""
    x, y, options = _prepared(input1, input2, filter_ir_out, irrep_normalization)
    if options is None:
        return None
    if regroup_output:
        x, y = _regrouped(x), _regrouped(y)
    found = describe.tensor_product(x.irreps, x.zero_flags, y.irreps, y.zero_flags, *options, _dtype(x))
    return Reading(found, _host("tensor_product", _static(x), _static(y), options, regroup_output=False), x, y, regroup_output)


def read_elementwise(
    input1: Any, input2: Any, *, filter_ir_out: Any = None, irrep_normalization: str | None = None
) -> Reading | None:
    """Of `e3nn_jax.elementwise_tensor_product`."""
    x, y, options = _prepared(input1, input2, filter_ir_out, irrep_normalization)
    if options is None or x.irreps.num_irreps != y.irreps.num_irreps:
        return None
    x, y = _align_two_irreps_arrays(x, y)
    found = describe.elementwise(x.irreps, x.zero_flags, y.irreps, y.zero_flags, *options, _dtype(x))
    return Reading(found, _host("elementwise_tensor_product", _static(x), _static(y), options), x, y)


def read_tensor_square(
    input: Any, *, irrep_normalization: str | None = None, normalized_input: bool = False, regroup_output: bool = True
) -> Reading | None:
    """Of `e3nn_jax.tensor_square`. As a product of two operands, which the gate draws apart, the host is its general one."""
    x = e3nn.as_irreps_array(input)
    normalization = e3nn.config("irrep_normalization") if irrep_normalization is None else irrep_normalization
    if normalization not in describe.NORMALIZATIONS or x.dtype.kind != "f":
        return None
    x = _regrouped(x) if regroup_output else x
    found = describe.tensor_square(x.irreps, x.zero_flags, normalization, bool(normalized_input), _dtype(x))
    return Reading(found, host_of(found.problem), x, x, regroup_output)


def _prepared(input1: Any, input2: Any, filter_ir_out: Any, irrep_normalization: str | None) -> tuple[Any, Any, Any]:
    """Both operands, and (irreps to keep, normalisation); None instead of those where the host shall say what is wrong."""
    x, y = (input1, input2) if _are_prepared(input1, input2) else _prepare_inputs(input1, input2)[:2]
    keep = _validate_filter_ir_out(filter_ir_out)
    normalization = e3nn.config("irrep_normalization") if irrep_normalization is None else irrep_normalization
    options = (None if keep is None else tuple(keep), normalization)
    return x, y, options if normalization in describe.NORMALIZATIONS else None


def _are_prepared(x: Any, y: Any) -> bool:
    """Whether the host would leave both operands as they are, after tracing a dozen operations."""
    arrays = isinstance(x, e3nn.IrrepsArray) and isinstance(y, e3nn.IrrepsArray)
    return arrays and x.dtype == y.dtype and x.dtype.kind == "f" and x.shape[:-1] == y.shape[:-1]


def _regrouped(x: Any) -> Any:
    return x if x.irreps == _regrouped_irreps(x.irreps) else x.regroup()


@cache
def _regrouped_irreps(irreps: Any) -> Any:
    return irreps.regroup()


def _dtype(x: Any) -> str:
    """Of what JAX makes of it: NumPy's float64 is float32 unless x64 is on."""
    return str(jax.dtypes.canonicalize_dtype(x.dtype))


def _static(x: Any) -> tuple[Any, Any]:
    """What is known while tracing; the array itself must not be kept."""
    return x.irreps, x.zero_flags


@lru_cache(maxsize=256)
def _host(name: str, x: tuple[Any, Any], y: tuple[Any, Any], options: Any, **more: Any) -> Host:
    keep, normalization = options
    own = stock(name)

    def function(a: Array, b: Array, w: Array) -> Array:
        left, right = (irreps_array(irreps, array, flags) for (irreps, flags), array in ((x, a), (y, b)))
        return own(left, right, filter_ir_out=keep, irrep_normalization=normalization, **more).array

    return as_host(function)
