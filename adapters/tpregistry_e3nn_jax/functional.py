"""What takes the place of the code of `FunctionalTensorProduct`, whose operands are single samples; callers map over them."""

from __future__ import annotations

from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from tpregistry import session
from tpregistry.jax.binding import product
from tpregistry_e3nn_jax import describe
from tpregistry_e3nn_jax.host import host_of, irreps_array, stock

Array = jax.Array


def left_right(self: Any, weights: Any, input1: Any, input2: Any, **options: Any) -> Any:
    """See `e3nn_jax.legacy.FunctionalTensorProduct.left_right`."""
    out = _run(self, weights, input1, input2)
    return stock("_left_right")(self, weights, input1, input2, **options) if out is None else out


def _run(tensor_product: Any, weights: Any, input1: Any, input2: Any) -> Any:
    flat = _flat_weights(tensor_product, weights, input1.dtype)
    if flat is None or not _understood(tensor_product, input1, input2):
        return None
    try:
        dtype = str(jax.dtypes.canonicalize_dtype(input1.dtype))
        found = describe.functional(tensor_product, input1.zero_flags, input2.zero_flags, dtype)
    except Exception as reason:  # what is not ours to do, or a fault of the product: the host does it, or says what is wrong
        session.made.left_to_host[str(reason)] += 1
        return None
    if not found.problem.paths:
        return None
    w = flat if found.problem.weight_numel == flat.size else jnp.concatenate([flat[place] for place in found.weights] or [flat[:0]])
    array = product(found.problem, host_of(found.problem), input1.array, input2.array, w)
    return None if array is None else irreps_array(found.irreps_out, array, found.zero_flags)


def _understood(tensor_product: Any, input1: Any, input2: Any) -> bool:
    """Single samples of the right irreps, none of them empty; the host says what is wrong with others."""
    reps = (tensor_product.irreps_in1, tensor_product.irreps_in2, tensor_product.irreps_out)
    return input1.ndim == input2.ndim == 1 and all(mul_ir.dim for rep in reps for mul_ir in rep)


def _flat_weights(tensor_product: Any, weights: Any, dtype: Any) -> Array | None:
    """All weights side by side, in the order of the instructions; None where they are not those of the product."""
    shapes = [ins.path_shape for ins in tensor_product.instructions if ins.has_weight]
    if not isinstance(weights, list):
        return weights if getattr(weights, "shape", None) == (sum(map(prod, shapes)),) else None
    if [getattr(w, "shape", None) for w in weights] != shapes:
        return None
    return jnp.concatenate([jnp.reshape(w, -1) for w in weights]) if weights else jnp.zeros((0,), dtype)
