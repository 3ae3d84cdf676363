"""A whole tensor product: the compiled product channel by channel, between torch's own gathers and dense mixing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tpregistry.plan import plan_tensor_product
from tpregistry.plan.channelwise import Channelwise, Mix, channelwise
from tpregistry.plan.scaling import Scaling
from tpregistry.problem import Problem
from tpregistry.torch.differentiable import differentiable
from tpregistry_cg.llvm.kernel import CompiledPlan, Tensor
from tpregistry_cg.llvm.scaling import ScalingKernel

Function = Callable[..., Any]


def build(problem: Problem) -> Forward | Mixed:
    """The kernel of a problem."""
    split = channelwise(problem)
    forward = Forward(plan_tensor_product(split.inner), getattr(torch, problem.dtype))
    whole = split.x is None and split.y is None and split.weights is None and split.pieces is None
    return forward if whole else Mixed(split, forward, problem.irreps_out.dim)


class Forward(CompiledPlan):
    """A plan with one output, returned bare: see `tpregistry.backend.OpaqueKernel`."""

    def __call__(self, *operands: Tensor) -> Tensor:  # type: ignore[override]
        """x (batch, dim_in1), y (batch, dim_in2), w (batch, weight_numel) or (weight_numel,) -> out (batch, dim_out)."""
        return super().__call__(*operands)[0]


class Mixed:
    """Made of differentiable functions: gathers, the inner product, and matrix products over channels."""

    def __init__(self, split: Channelwise, forward: Forward, size: int) -> None:
        self.engine, self.forward = (f"{forward.engine} + torch" if split.inner.paths else "torch"), forward
        self._inner, self._split, self._size = differentiable(forward), split, size
        self._scalings = [(part, differentiable(ScalingKernel(part.plan(), part.copies))) for part in split.scalings]
        self._x, self._y = (None if index is None else torch.from_numpy(index) for index in (split.x, split.y))

    def __call__(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """See `tpregistry.backend.Kernel`."""
        found = self._products(x, y, w) if self._split.inner.paths else []
        found += [(part.out, _scaled(part, function, x, y, w)) for part, function in self._scalings]
        return _assembled(found, self._size, x)

    def sources(self, derivatives: int) -> dict[str, str]:
        """Of the product channel by channel."""
        return self.forward.sources(derivatives)

    def _products(self, x: Tensor, y: Tensor, w: Tensor) -> list[tuple[slice, Tensor]]:
        """Summands of the output from the inner product, and their places."""
        split = self._split
        x = x if self._x is None else x.index_select(1, self._x)
        y = y if self._y is None else y.index_select(1, self._y)
        inner = self._inner(x, y, w if split.weights is None else _gathered(split.weights, w))
        whole = [(slice(0, self._size), inner)] if split.pieces is None else []
        kept = [(out, inner[:, place]) for place, out in split.pieces or ()]
        return whole + kept + [(mix.out, _mixed(mix, inner, w)) for mix in split.mixes]


def _gathered(places: tuple[slice, ...], w: Tensor) -> Tensor:
    return torch.cat([w[..., place] for place in places] or [w[..., :0]], dim=-1)


def _mixed(mix: Mix, inner: Tensor, w: Tensor) -> Tensor:
    product = inner[:, mix.product].unflatten(1, (mix.inputs, -1))
    if mix.weights is None:
        return product.sum(1)
    weights = w[..., mix.weights].unflatten(-1, (mix.inputs, mix.outputs))
    return torch.einsum("zck,zcw->zwk" if w.dim() > 1 else "zck,cw->zwk", product, weights).flatten(1)


def _scaled(part: Scaling, function: Function, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    vectors, scalars = (y, x) if part.of_x else (x, y)
    weights = w[part.weights].view(part.shape)
    weights = weights if part.of_x else weights.transpose(0, 1)
    return function(vectors[:, part.vectors], scalars[:, part.scalars], weights.reshape(-1))[0]


def _assembled(summands: list[tuple[slice, Tensor]], size: int, like: Tensor) -> Tensor:
    """Summands added up in their places, zeros between them."""
    found: dict[tuple[int, int], Tensor] = {}
    for place, summand in summands:
        key = place.start, place.stop
        found[key] = found[key] + summand if key in found else summand
    parts, reached = [], 0
    for (start, stop), piece in sorted(found.items(), key=lambda item: item[0]):
        parts += [like.new_zeros(len(like), start - reached)] if start > reached else []
        parts.append(piece)
        reached = stop
    parts += [like.new_zeros(len(like), size - reached)] if size > reached else []
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts, dim=1) if parts else like.new_zeros(len(like), 0)
