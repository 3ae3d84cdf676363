"""Kernels from backends, also of operations that a backend does not know but can do by its product."""

from __future__ import annotations

from importlib import import_module

from tpregistry.backend import Backend, Face, Kernel
from tpregistry.problem import Problem


def asked_of(face: Face, problem: Problem) -> Problem:
    """What a backend is asked for: the problem itself, or the product of an operation that it has no kernels for."""
    return problem if problem.operation in face.operations else problem.product


def build(backend: Backend, problem: Problem, device: str, framework: str) -> Kernel:
    """The kernel of a problem, a product of a convolution between a gather and a sum; raises what the plugin raises."""
    asked = asked_of(backend.face, problem)
    kernel = backend.build(asked, device, framework)
    return kernel if asked.convolves == problem.convolves else import_module(f"tpregistry.{framework}.convolution").Unfused(kernel)
