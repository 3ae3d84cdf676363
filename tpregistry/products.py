"""Products that are operations of their own, as problems: Gaunt, curl, vector signals, matrices.

"The Price of Freedom" (Xie, Daigavane, Kotak and Smidt, ICML 2025) showed that they are not Clebsch-Gordan products computed
faster: each is one fixed bilinear map, channel by channel, with a coefficient per path that nobody chooses, and some paths are
missing. In terms of paths they are unweighted products of mode `uuu`, so a backend that knows only `tensor_product` can do
them too. Signals hold one irrep of each degree per channel; their irreps have equally many copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import sqrt

from tpregistry.irreps import Irreps, MulIrrep
from tpregistry.problem import Mode, Path, Problem
from tpregistry.so3 import curl as curl_coefficient
from tpregistry.so3 import gaunt as gaunt_coefficient
from tpregistry.so3.couplings import matrix_coupling, vector_coupling

Triple = tuple[int, int, int]
Coefficient = Callable[[Triple], float]
Written = Irreps | str

NORMALIZATIONS = ("integral", "component")
NEGLIGIBLE = 1e-12


def gaunt(in1: Written, in2: Written, out: Written, normalization: str = "component", dtype: str = "float32") -> Problem:
    """The pointwise product of two functions on the sphere: ``out_k = integral of F_x F_y Y_k``.

    Paths of even l1 + l2 + l3, with coefficient `so3.gaunt`; symmetric, so there is no vector product of vectors. With
    ``normalization="integral"`` harmonics are orthonormal; "component" multiplies every irrep of the output by what gives its
    components unit variance where those of the inputs have it. Raises ValueError for irreps that are no signals.
    """
    return _problem("gaunt", in1, in2, out, normalization, dtype)


def curl(in1: Written, in2: Written, out: Written, normalization: str = "component", dtype: str = "float32") -> Problem:
    """The surface curl ``out_k = integral of r . (grad F_x x grad F_y) Y_k``: paths of odd l1 + l2 + l3, antisymmetric.

    What `gaunt` lacks, at about twice its cost; coefficient `so3.curl` (also arXiv:2605.15073). Arguments as there.
    """
    return _problem("curl", in1, in2, out, normalization, dtype)


def vector_signal(in1: Written, in2: Written, out: Written, normalization: str = "component", dtype: str = "float32") -> Problem:
    """The pointwise vector product of two fields of vectors on the sphere, on vector harmonics (Xie et al., arXiv:2602.21466).

    All irreps are those of `vector_irreps`, or of a polar and then an axial field. Paths of even and odd sums of j. Other
    arguments as for `gaunt`.
    """
    return _problem("vector_signal", in1, in2, out, normalization, dtype)


def matrix_product(in1: Written, in2: Written, out: Written, normalization: str = "component", dtype: str = "float32") -> Problem:
    """Z = X Y of matrices on one irrep of degree `matrix_degree`, e3x's FusedTensor (Unke and Maennel, arXiv:2401.07595).

    Even and odd paths, but for a few whose 6j symbol vanishes; "integral" takes orthonormal matrices. Arguments as for `gaunt`.
    """
    return _problem("matrix_product", in1, in2, out, normalization, dtype)


def matrix_degree(*irreps: Irreps) -> int:
    """The degree of the irrep on which matrices hold all of these: half of the largest, rounded up."""
    return (max((item.l for rep in irreps for item in rep), default=0) + 1) // 2


def vector_irreps(degree: int, copies: int = 1, axial: bool = False) -> Irreps:
    """A field of vectors up to a degree: for each l an irrep of each j = l - 1, l, l + 1. Axial ones do not turn by inversion."""
    found = [(l, j) for l in range(degree + 1) for j in range(abs(l - 1), l + 2)]
    return Irreps(tuple(MulIrrep(copies, j, (-1) ** l * (1 if axial else -1)) for l, j in found))


def vector_fields(irreps: Irreps) -> Irreps:
    """A polar and an axial field that hold these irreps, and no others; each has as many copies as the first of them.

    Scalars live in harmonics of degree 1, so that is the least.
    """
    kinds, degree = {item[1:] for item in irreps if item.mul}, max([1, *(item.l for item in irreps)])
    fields = (item for axial in (False, True) for item in vector_irreps(degree, irreps[0].mul, axial))
    return Irreps(tuple(item if item[1:] in kinds else item._replace(mul=0) for item in fields))


def vector_degrees(irreps: Irreps) -> list[int]:
    """The l of each irrep of a field of vectors, or of a polar and then an axial one of the same degree.

    Irreps that are not there may have no copies. Raises ValueError where they are not those of `vector_irreps`.
    """
    kinds = [item[1:] for item in irreps]
    for fields in (1, 2):
        degree = len(irreps) // fields // 3
        polar, axial = ([item[1:] for item in vector_irreps(degree, 1, axial)] for axial in (False, True))
        if kinds in ([polar, axial] if fields == 1 else [polar + axial]):
            return [l for l in range(degree + 1) for _ in range(abs(l - 1), l + 2)] * fields
    raise ValueError(f"{irreps} is no field of vectors; vector_irreps(1) is {vector_irreps(1)}")


def coefficients(operation: str, irreps: Sequence[Irreps]) -> dict[Triple, float]:
    """The coefficient of every path (i_in1, i_in2, i_out) that a product has on these irreps, in orthonormal bases."""
    value = _coefficient(operation, irreps)
    in1, in2, out = irreps
    every = ((i, j, k) for i in range(len(in1)) for j in range(len(in2)) for k in range(len(out)))
    couple = (path for path in every if _selected(in1[path[0]], in2[path[1]], out[path[2]]))
    return {path: c for path in couple if abs(c := value(path)) > NEGLIGIBLE}


def factors(problem: Problem) -> list[float]:
    """By what each irrep of the output is multiplied in a problem, beyond the bare product of its operation.

    Raises ValueError where the paths are not those of the operation: such a problem is another one.
    """
    bare = coefficients(problem.operation, (problem.irreps_in1, problem.irreps_in2, problem.irreps_out))
    found: list[float | None] = [None] * len(problem.irreps_out)
    if {(p.i_in1, p.i_in2, p.i_out) for p in problem.paths} != set(bare) or len(problem.paths) != len(bare):
        raise ValueError(f"the paths are not those of {problem.operation} on these irreps")
    for path in problem.paths:
        ratio = path.coefficient / bare[path.i_in1, path.i_in2, path.i_out]
        first = found[path.i_out] = found[path.i_out] or ratio
        if abs(ratio - first) > 1e-9 * abs(first) or path.has_weight or path.mode is not Mode.UUU:
            raise ValueError(f"the coefficients into {problem.irreps_out[path.i_out]} are not those of {problem.operation}")
    return [factor or 1.0 for factor in found]


@lru_cache(maxsize=256)
def _problem(operation: str, in1: Written, in2: Written, out: Written, normalization: str, dtype: str) -> Problem:
    irreps = [rep if isinstance(rep, Irreps) else Irreps.parse(rep) for rep in (in1, in2, out)]
    copies = {item.mul for rep in irreps for item in rep} - {0}
    if len(copies) > 1:
        raise ValueError(f"{operation} goes channel by channel: every irrep needs as many copies, but there are {sorted(copies)}")
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization {normalization!r}: use one of {', '.join(NORMALIZATIONS)}")
    found = coefficients(operation, irreps)
    scales = _scales(found, irreps[2]) if normalization == "component" else dict.fromkeys(range(len(irreps[2])), 1.0)
    paths = tuple(Path(i, j, k, Mode.UUU, False, c * scales[k]) for (i, j, k), c in found.items())
    return Problem(irreps[0], irreps[1], irreps[2], paths, True, dtype, operation=operation)


def _scales(found: dict[Triple, float], out: Irreps) -> dict[int, float]:
    """What gives the components of each output unit variance: a path adds its coefficient squared over 2 l + 1."""
    variances = dict.fromkeys(range(len(out)), 0.0)
    for path, c in found.items():
        variances[path[2]] += c * c / (2 * out[path[2]].l + 1)
    return {k: 1 / sqrt(variance) if variance else 1.0 for k, variance in variances.items()}


def _selected(x: MulIrrep, y: MulIrrep, out: MulIrrep) -> bool:
    return x.mul > 0 < y.mul and out.mul > 0 and abs(x.l - y.l) <= out.l <= x.l + y.l and x.p * y.p == out.p


def _coefficient(operation: str, irreps: Sequence[Irreps]) -> Coefficient:
    """Of a path, by the positions of its irreps."""

    def j(path: Triple) -> Triple:
        return irreps[0][path[0]].l, irreps[1][path[1]].l, irreps[2][path[2]].l

    if operation == "vector_signal":
        labels = [vector_degrees(rep) for rep in irreps]
        return lambda path: vector_coupling((labels[0][path[0]], labels[1][path[1]], labels[2][path[2]]), j(path))
    size = matrix_degree(*irreps)
    known: dict[str, Coefficient] = {
        "gaunt": lambda path: gaunt_coefficient(*j(path)),
        "curl": lambda path: curl_coefficient(*j(path)),
        "matrix_product": lambda path: matrix_coupling(*j(path), size),
    }
    if operation not in known:
        raise ValueError(f"operation {operation!r} has no coefficients of its own: {', '.join(known)} and vector_signal have")
    return known[operation]
