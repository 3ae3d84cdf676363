"""A whole tensor product: the compiled product channel by channel, between the framework's own gathers and dense mixing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tpregistry.arrays import Array, Arrays, flat
from tpregistry.backend import Kernel
from tpregistry.plan.channelwise import Channelwise, Mix
from tpregistry.plan.scaling import Scaling

Function = Callable[..., Array]


class Mixed:
    """Made of differentiable functions: gathers, the inner product, and matrix products over channels.

    ``forward`` is the kernel of the inner product, ``inner`` its differentiable function; ``scalings`` are functions of (vectors,
    scalars, flat weights) in the order of the split.
    """

    def __init__(
        self, split: Channelwise, size: int, arrays: Arrays, forward: Kernel, inner: Function, scalings: Sequence[Function]
    ) -> None:
        self.forward: Any = forward
        self.engine = f"{forward.engine} + {arrays.engine}" if split.inner.paths else arrays.engine
        self._split, self._size, self._arrays, self._inner = split, size, arrays, inner
        self._scalings = list(zip(split.scalings, scalings, strict=True))
        self._x, self._y = (None if index is None else arrays.index(index) for index in (split.x, split.y))

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """See `tpregistry.backend.Kernel`."""
        found = self._products(x, y, w) if self._split.inner.paths else []
        found += [(part.out, _scaled(part, function, x, y, w)) for part, function in self._scalings]
        return self._assembled(found, x)

    def sources(self, derivatives: int) -> dict[str, str]:
        """Of the product channel by channel."""
        return self.forward.sources(derivatives)

    def _products(self, x: Array, y: Array, w: Array) -> list[tuple[slice, Array]]:
        """Summands of the output from the inner product, and their places."""
        split = self._split
        x = x if self._x is None else x[:, self._x]
        y = y if self._y is None else y[:, self._y]
        inner = self._inner(x, y, w if split.weights is None else self._gathered(split.weights, w))
        whole = [(slice(0, self._size), inner)] if split.pieces is None else []
        kept = [(out, inner[:, place]) for place, out in split.pieces or ()]
        return whole + kept + [(mix.out, self._mixed(mix, inner, w)) for mix in split.mixes]

    def _gathered(self, places: tuple[slice, ...], w: Array) -> Array:
        return self._arrays.beside([w[..., place] for place in places] or [w[..., :0]])

    def _mixed(self, mix: Mix, inner: Array, w: Array) -> Array:
        components = (mix.product.stop - mix.product.start) // mix.inputs
        product = inner[:, mix.product].reshape(len(inner), mix.inputs, components)
        if mix.weights is None:
            return product.sum(1)
        weights = w[..., mix.weights].reshape(*w.shape[:-1], mix.inputs, mix.outputs)
        return flat(self._arrays.einsum("zck,zcw->zwk" if w.ndim > 1 else "zck,cw->zwk", product, weights))

    def _assembled(self, summands: list[tuple[slice, Array]], like: Array) -> Array:
        """Summands added up in their places, zeros between them."""
        found: dict[tuple[int, int], Array] = {}
        for place, summand in summands:
            key = place.start, place.stop
            found[key] = found[key] + summand if key in found else summand
        parts, reached = [], 0
        for (start, stop), piece in sorted(found.items(), key=lambda item: item[0]):
            parts += [self._arrays.zeros(like, start - reached)] if start > reached else []
            parts.append(piece)
            reached = stop
        parts += [self._arrays.zeros(like, self._size - reached)] if self._size > reached or not parts else []
        return parts[0] if len(parts) == 1 else self._arrays.beside(parts)


def scaling(arrays: Arrays, part: Scaling, vectors: Array, scalars: Array, weights: Array) -> Array:
    """The scalars mixed into the weights give a matrix for each sample, which is applied to all components."""
    s, t, w = part.copies
    matrices = (scalars @ weights.reshape(s, t * w)).reshape(len(scalars), t, w)
    out = arrays.einsum("ztw,ztk->zwk", matrices, vectors.reshape(len(vectors), t, vectors.shape[1] // t))
    return part.coefficient * flat(out)


def _scaled(part: Scaling, function: Function, x: Array, y: Array, w: Array) -> Array:
    vectors, scalars = (y, x) if part.of_x else (x, y)
    weights = w[part.weights].reshape(part.shape)
    weights = weights if part.of_x else weights.swapaxes(0, 1)
    return function(vectors[:, part.vectors], scalars[:, part.scalars], weights.reshape(-1))
