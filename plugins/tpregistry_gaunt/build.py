"""Kernels of this family, each for its operations."""

from __future__ import annotations

from collections.abc import Sequence

from tpregistry.backend import Kernel
from tpregistry.problem import Problem
from tpregistry.products import matrix_degree, vector_degrees
from tpregistry_gaunt.exact import ExactKernel
from tpregistry_gaunt.forms import Curl, Form, Gaunt, Matrices, VectorSignal
from tpregistry_gaunt.kernel import ValuesKernel
from tpregistry_gaunt.powers import PowersKernel
from tpregistry_gaunt.stages import Circle, Rings
from tpregistry_gaunt.waves import CurlWaves, Waves

ON_POINTS = {"gaunt": Gaunt, "gaunt_many_body": Gaunt, "curl": Curl, "vector_signal": VectorSignal}
AS_WAVES = {"gaunt": Waves, "curl": CurlWaves}


def on_points(problem: Problem, device: str, framework: str) -> Kernel:
    """Signals by their values at points of the sphere; a Clebsch-Gordan product pair by pair of irreps."""
    if problem.operation == "tensor_product":
        return ExactKernel(problem, (Gaunt, Curl), device, framework)
    return _kernel(problem, form(problem), device, framework)


def on_rings(problem: Problem, circle: type[Circle], device: str, framework: str) -> Kernel:
    """The same at points of rings, in stages."""
    top = max((item.l for rep in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out) for item in rep), default=0)
    return _kernel(problem, Rings(ON_POINTS[problem.operation], _degrees(problem), top, circle), device, framework)


def _kernel(problem: Problem, form: Form, device: str, framework: str) -> Kernel:
    return (PowersKernel if problem.correlation else ValuesKernel)(problem, form, device, framework)


def form(problem: Problem) -> Form:
    """Of a product of signals at points."""
    return ON_POINTS[problem.operation](_degrees(problem))


def compiled(problem: Problem, framework: str) -> Kernel:
    """Signals by their values, a block of rows at a time."""
    from tpregistry_gaunt.llvm.product import build, build_powers

    if problem.correlation:
        return build_powers(problem, form(problem))
    return build(problem, form(problem), framework)


def as_waves(problem: Problem, device: str, framework: str) -> Kernel:
    """Signals by waves on a torus; a Clebsch-Gordan product pair by pair of irreps."""
    if problem.operation == "tensor_product":
        return ExactKernel(problem, (Waves, CurlWaves), device, framework)
    return ValuesKernel(problem, AS_WAVES[problem.operation](_degrees(problem)), device, framework)


def as_matrices(problem: Problem, device: str, framework: str) -> Kernel:
    """Signals as matrices."""
    size = matrix_degree(problem.irreps_in1, problem.irreps_in2, problem.irreps_out)
    return ValuesKernel(problem, Matrices(size), device, framework)


def _degrees(problem: Problem) -> tuple[int, ...]:
    """The largest degree of the harmonics of each factor, and of the product."""
    labels: list[Sequence[int]] = []
    for rep in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out):
        labels.append(vector_degrees(rep) if problem.operation == "vector_signal" else [item.l for item in rep])
    first, second, last = (max(found, default=0) for found in labels)
    return (first,) * problem.correlation + (last,) if problem.correlation else (first, second, last)
