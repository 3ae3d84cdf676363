"""The few functions that torch and jax.numpy spell differently, so that each portable kernel is written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

Array = Any
"""A torch tensor or a JAX array."""


class Arrays(Protocol):
    """What a portable kernel needs besides methods and operators that both have."""

    engine: str

    def constant(self, array: np.ndarray) -> Array:
        """Coefficients at the dtype of the problem."""
        ...

    einsum: Callable[..., Array]

    def index(self, positions: Sequence[int] | np.ndarray) -> Array:
        """Positions to gather at."""
        ...

    def beside(self, parts: Sequence[Array], axis: int = -1) -> Array:
        """Put together along an axis."""
        ...

    def zeros(self, like: Array, *sizes: int) -> Array:
        """As many rows, dtype and device as another."""
        ...

    def flipped(self, array: Array) -> Array:
        """The last axis backwards."""
        ...

    def from_waves(self, waves: Array, points: int, axes: int) -> Array:
        """Real values at ``points`` along each of the last ``axes``, from coefficients in FFT order, on the last axis of v >= 0."""
        ...

    def to_waves(self, values: Array, axes: int) -> Array:
        """The inverse of `from_waves`, at full resolution."""
        ...


class TorchArrays:
    """For tensors of a dtype on a device."""

    engine = "torch"

    def __init__(self, dtype: str, device: str) -> None:
        import torch

        self._torch, self._dtype, self._device = torch, getattr(torch, dtype), device
        self.einsum: Callable[..., Array] = torch.einsum

    def constant(self, array: np.ndarray) -> Array:
        """See `Arrays`. It outlives the call that made it, which may run in inference mode."""
        with self._torch.inference_mode(False):
            return self._torch.as_tensor(array, dtype=self._torch.float64, device="cpu").to(self._dtype).to(self._device)

    def index(self, positions: Sequence[int] | np.ndarray) -> Array:
        """See `Arrays`."""
        return self._torch.as_tensor(positions, device=self._device)

    def beside(self, parts: Sequence[Array], axis: int = -1) -> Array:
        """See `Arrays`."""
        return self._torch.cat(tuple(parts), dim=axis)

    def zeros(self, like: Array, *sizes: int) -> Array:
        """See `Arrays`."""
        return like.new_zeros(len(like), *sizes)

    def flipped(self, array: Array) -> Array:
        """See `Arrays`."""
        return array.flip(-1)

    def from_waves(self, waves: Array, points: int, axes: int) -> Array:
        """See `Arrays`. MKL's transforms raise where there is no sample."""
        sizes = (points,) * axes
        if not len(waves):
            return waves.real.new_zeros(*waves.shape[:-axes], *sizes)
        return self._torch.fft.irfftn(waves, s=sizes, norm="forward")

    def to_waves(self, values: Array, axes: int) -> Array:
        """See `Arrays`."""
        if not len(values):
            return values[..., : values.shape[-1] // 2 + 1] + 0j
        return self._torch.fft.rfftn(values, dim=tuple(range(-axes, 0)), norm="forward")


class JaxArrays:
    """For arrays of a dtype. Constants stay with numpy: made while a program is traced, JAX's would belong to the trace."""

    engine = "XLA"

    def __init__(self, dtype: str) -> None:
        import jax.numpy

        self._jnp, self._dtype = jax.numpy, jax.numpy.dtype(dtype)
        self.einsum: Callable[..., Array] = jax.numpy.einsum

    def constant(self, array: np.ndarray) -> Array:
        """See `Arrays`."""
        return np.asarray(array).astype(self._dtype)

    def index(self, positions: Sequence[int] | np.ndarray) -> Array:
        """See `Arrays`."""
        return np.asarray(positions)

    def beside(self, parts: Sequence[Array], axis: int = -1) -> Array:
        """See `Arrays`."""
        return self._jnp.concatenate(parts, axis=axis)

    def zeros(self, like: Array, *sizes: int) -> Array:
        """See `Arrays`."""
        return self._jnp.zeros((len(like), *sizes), like.dtype)

    def flipped(self, array: Array) -> Array:
        """See `Arrays`."""
        return array[..., ::-1]

    def from_waves(self, waves: Array, points: int, axes: int) -> Array:
        """See `Arrays`."""
        return self._jnp.fft.irfftn(waves, s=(points,) * axes, norm="forward")

    def to_waves(self, values: Array, axes: int) -> Array:
        """See `Arrays`."""
        return self._jnp.fft.rfftn(values, axes=tuple(range(-axes, 0)), norm="forward")


def arrays_of(framework: str, dtype: str, device: str) -> Arrays:
    """Those of a framework."""
    return TorchArrays(dtype, device) if framework == "torch" else JaxArrays(dtype)


def flat(array: Array) -> Array:
    """One row per sample."""
    return array.reshape(len(array), int(np.prod(array.shape[1:], dtype=int)))


def cut(array: Array, widths: Sequence[int]) -> list[Array]:
    """Pieces of the last axis."""
    bounds = np.cumsum([0, *widths]).tolist()
    return [array[..., start:stop] for start, stop in pairwise(bounds)]
