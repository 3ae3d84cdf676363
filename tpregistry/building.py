"""Kernels from backends, also of operations that a backend does not know but can do by products that it knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from tpregistry.backend import Backend, Face, Kernel
from tpregistry.isolation import kept
from tpregistry.listening import listening
from tpregistry.problem import Problem
from tpregistry.progress import tell


def parts_of(face: Face, problem: Problem) -> tuple[Problem, ...]:
    """What a backend is asked for: the problem itself, or what makes it up where it has no kernels of the operation: products."""
    if problem.operation in face.operations:
        return (problem,)
    if problem.correlation:
        from tpregistry.many_body import links  # numpy, which commands that only list do without

        return tuple(part for link in links(problem) for part in parts_of(face, link))
    return (problem,) if problem.contracts else (problem.product,)


def _called(kernel: Kernel) -> Kernel:
    if not callable(kernel) or not isinstance(getattr(kernel, "engine", None), str):
        raise TypeError(f"build returned {kernel!r}, not a kernel: something to call, with an `engine` that says what runs")
    return kernel


@contextmanager
def aside() -> Iterator[None]:
    """What this thread prints meanwhile goes to stderr in the end: standard output is the program's, as are other threads."""
    with listening() as words:
        try:
            yield
        finally:
            if words:
                tell("".join(words).rstrip())


def _built(backend: Backend, part: Problem, device: str, framework: str) -> Kernel:
    with kept(), aside():
        return _called(backend.build(part, device, framework))


def build(backend: Backend, problem: Problem, device: str, framework: str) -> Kernel:
    """The kernel of a problem: the backend's own, or its products in a chain, or one between a gather and a sum.

    Raises what the plugin raises.
    """
    parts = parts_of(backend.face, problem)
    kernels = [_built(backend, part, device, framework) for part in parts]
    if problem.correlation and parts != (problem,):
        from tpregistry.chain import Chained

        return Chained(problem, kernels, device, framework)
    (kernel,) = kernels
    whole = parts[0].convolves == problem.convolves
    return kernel if whole else import_module(f"tpregistry.{framework}.convolution").Unfused(kernel)
