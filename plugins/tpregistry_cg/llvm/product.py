"""A whole tensor product: the compiled product channel by channel, between torch's own gathers and dense mixing."""

from __future__ import annotations

import torch

from tpregistry.plan import plan_tensor_product
from tpregistry.plan.channelwise import Channelwise, Mix, channelwise
from tpregistry.problem import Problem
from tpregistry.torch.differentiable import differentiable
from tpregistry_cg.llvm.kernel import CompiledPlan, Tensor


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
        self.engine, self.forward = f"{forward.engine} + torch", forward
        self._inner, self._split, self._size = differentiable(forward), split, size
        self._x, self._y = (None if index is None else torch.from_numpy(index) for index in (split.x, split.y))

    def __call__(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """See `tpregistry.backend.Kernel`."""
        split = self._split
        x = x if self._x is None else x.index_select(1, self._x)
        y = y if self._y is None else y.index_select(1, self._y)
        weights = w if split.weights is None else self._gathered(w)
        inner = self._inner(x, y, weights)
        return inner if split.pieces is None else self._assembled(inner, w)

    def sources(self, derivatives: int) -> dict[str, str]:
        """Of the product channel by channel."""
        return self.forward.sources(derivatives)

    def _gathered(self, w: Tensor) -> Tensor:
        assert self._split.weights is not None
        return torch.cat([w[..., place] for place in self._split.weights] or [w[..., :0]], dim=-1)

    def _assembled(self, inner: Tensor, w: Tensor) -> Tensor:
        split = self._split
        found: dict[tuple[int, int], Tensor] = {(out.start, out.stop): inner[:, place] for place, out in split.pieces or ()}
        for mix in split.mixes:
            key = mix.out.start, mix.out.stop
            mixed = _mixed(mix, inner, w)
            found[key] = found[key] + mixed if key in found else mixed
        return _concatenated(found, self._size, inner)


def _mixed(mix: Mix, inner: Tensor, w: Tensor) -> Tensor:
    product = inner[:, mix.product].unflatten(1, (mix.inputs, -1))
    if mix.weights is None:
        return product.sum(1)
    weights = w[..., mix.weights].unflatten(-1, (mix.inputs, mix.outputs))
    return torch.einsum("zck,zcw->zwk" if w.dim() > 1 else "zck,cw->zwk", product, weights).flatten(1)


def _concatenated(pieces: dict[tuple[int, int], Tensor], size: int, like: Tensor) -> Tensor:
    """Pieces in their places, zeros between them."""
    parts, reached = [], 0
    for (start, stop), piece in sorted(pieces.items()):
        parts += [like.new_zeros(len(like), start - reached)] if start > reached else []
        parts.append(piece)
        reached = stop
    parts += [like.new_zeros(len(like), size - reached)] if size > reached else []
    return torch.cat(parts, dim=1) if parts else like.new_zeros(len(like), 0)
