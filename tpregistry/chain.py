"""Powers of a signal by a chain of products: each takes the last power, and the signal, to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from tpregistry.arrays import Array, arrays_of
from tpregistry.backend import Kernel
from tpregistry.irreps import Irreps
from tpregistry.many_body import links, wanted
from tpregistry.problem import Problem

Place = slice | int
"""Where neighbouring irreps lie in a power, or how many zeros stand for those that it lacks."""


class Chained:
    """A `gaunt_many_body` made of kernels of its `links`."""

    def __init__(self, problem: Problem, kernels: Sequence[Kernel], device: str, framework: str) -> None:
        differentiable = import_module(f"tpregistry.{framework}.differentiable").differentiable
        self._arrays = arrays_of(framework, problem.dtype, device)
        self._products = [differentiable(k, _own(link, device, framework)) for k, link in zip(kernels, links(problem), strict=True)]
        self.engine = "chain of " + (", ".join(dict.fromkeys(kernel.engine for kernel in kernels)) or "no products")
        have = [problem.irreps_in1, *(link.irreps_out for link in links(problem))]
        have += [Irreps(())] * (problem.correlation - len(have))
        self._places = [_places(power, wanted(problem)) for power in have]

    def __call__(self, x: Array, y: Array, w: Array) -> Array:
        """x (batch, dim_in1), y and w without elements -> out (batch, dim_out): the powers side by side."""
        powers = [x]
        for product in self._products:
            powers.append(product(powers[-1], x, w))
        powers += [x] * (len(self._places) - len(powers))  # of which nothing is read
        return self._arrays.beside(
            [self._read(power, place) for power, found in zip(powers, self._places, strict=True) for place in found]
        )

    def _read(self, power: Array, place: Place) -> Array:
        return power[:, place] if isinstance(place, slice) else self._arrays.zeros(power, place)


def _own(link: Problem, device: str, framework: str) -> Callable[..., Array]:
    """The definition of a product, made when it is called, which in most programs is never: where a kernel's derivative raises."""

    def own(*operands: Array) -> Array:
        from tpregistry.hosts import host_for

        return host_for(link, framework, device).kernel(*operands)

    return own


def _places(power: Irreps, out: Irreps) -> list[Place]:
    """Of each irrep of ``out`` in a power."""
    have = {item.l: place for item, place in zip(power, power.slices(), strict=True)}
    found: list[Place] = []
    for item in out:
        place = have.get(item.l, item.dim)
        last = found[-1] if found else None
        if isinstance(last, slice) and isinstance(place, slice) and last.stop == place.start:
            found[-1] = slice(last.start, place.stop)
        else:
            found.append(place)
    return found
