"""What a MACE `SymmetricContraction` computes, read off its buffers ``U_matrix_*`` and the shapes of its weights.

The flags ``weights_*_zeroed`` are not read: the module's own forward ignores them, and a loaded state may fill those weights.
"""

from __future__ import annotations

from typing import Any

import torch

from tpregistry.contraction import symmetric_contraction
from tpregistry.irreps import Irreps
from tpregistry.problem import Problem
from tpregistry.torch.ground import Unreadable

Tensor = torch.Tensor


def tensors(contraction: Any) -> list[Tensor]:
    """Dense coefficients of a `Contraction`, the first power's first."""
    return [contraction._buffers[f"U_matrix_{power}"] for power in range(1, contraction.correlation + 1)]


def weights(contraction: Any) -> list[Tensor]:
    """Its weights in the same order: those of the highest power are apart, those of the others lie highest first."""
    return [*reversed(list(contraction.weights)), contraction.weights_max]


def describe(module: Any, dtype: torch.dtype) -> Problem:
    """The problem of a `SymmetricContraction`. Raises Unreadable where its weights are not of one shape with its coefficients."""
    irreps_in, irreps_out = (Irreps.parse(str(rep)) for rep in (module.irreps_in, module.irreps_out))
    elements, channels = int(weights(module.contractions[0])[0].shape[0]), irreps_in[0].mul
    if len(irreps_out) != len(module.contractions) or not fits(module, elements, channels):
        raise Unreadable("other contractions than its irreps want, or weights than their coefficients want")
    pairs = zip(irreps_out, module.contractions, strict=True)
    dense = [[_numbers(tensor, item.l) for tensor in tensors(one)] for item, one in pairs]
    try:
        return symmetric_contraction(irreps_in, irreps_out, elements, dense, str(dtype).removeprefix("torch."))
    except ValueError as error:
        raise Unreadable(str(error)) from error


def fits(module: Any, elements: int, channels: int) -> bool:
    """Whether all weights are (elements, paths, channels), as many paths as the coefficients have."""
    found = [[tuple(weight.shape) for weight in weights(one)] for one in module.contractions]
    return found == [[(elements, tensor.shape[-1], channels) for tensor in tensors(one)] for one in module.contractions]


def _numbers(tensor: Tensor, degree: int) -> Any:
    """With an axis for the components of the output, which scalars lack."""
    array = tensor.detach().to(dtype=torch.float64, device="cpu").numpy()
    return array if degree else array[None]


def packed(module: Any) -> Tensor:
    """All weights as the problem orders them: (elements, paths, channels), paths of all irreps and powers side by side, flat."""
    parts = [weight for contraction in module.contractions for weight in weights(contraction)]
    return torch.cat(parts, dim=1).flatten()
