"""The paper's two measures: which triples of irreps a product lets interact, and how many bilinear maps it can be.

"The Price of Freedom" (Xie, Daigavane, Kotak, Smidt; ICML 2025), definitions 2.2 and 2.3. The expressivity of a product with
weights is the dimension of the set of bilinear maps that it is for some weights: the generic rank of their derivative.
A Clebsch-Gordan product has a weight per path. The others have one per degree of each input and of the output, for each of
``channels`` copies, and a coefficient per path that nobody chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tpregistry.irreps import MulIrrep
from tpregistry.problem import Problem
from tpregistry.so3 import curl, gaunt, matrix_product

Triple = tuple[int, int, int]
Degrees = Sequence[int]


def triples(degrees1: Degrees, degrees2: Degrees, degrees3: Degrees) -> Iterator[Triple]:
    """All (l1, l2, l3) that keep the triangle rule: the paths of the Clebsch-Gordan product."""
    for l1 in degrees1:
        for l2 in degrees2:
            yield from ((l1, l2, l3) for l3 in degrees3 if abs(l1 - l2) <= l3 <= l1 + l2)


def coefficient(operation: str, size: int = 0) -> Callable[[Triple], float]:
    """The coefficient of a path in `clebsch_gordan`, `gaunt`, `curl` or `matrix_product` (of matrices on degree ``size``).

    Raises ValueError for another operation.
    """
    known: dict[str, Callable[[Triple], float]] = {
        "clebsch_gordan": lambda path: 1.0,
        "gaunt": lambda path: gaunt(*path),
        "curl": lambda path: curl(*path),
        "matrix_product": lambda path: matrix_product(*path, size),
    }
    if operation not in known:
        raise ValueError(f"operation {operation!r}: use one of {', '.join(known)}")
    return known[operation]


def interactable(operation: str, degrees1: Degrees, degrees2: Degrees, degrees3: Degrees, size: int = 0) -> list[Triple]:
    """The triples whose coefficient is not zero."""
    value = coefficient(operation, size)
    return [path for path in triples(degrees1, degrees2, degrees3) if abs(value(path)) > 1e-12]


def by_incidence(operation: str, degrees1: Degrees, degrees2: Degrees, degrees3: Degrees, size: int = 0) -> int:
    """One channel: the rank of the matrix that says which weights meet in which path; paths have 0 or 1 in each column."""
    paths = interactable(operation, degrees1, degrees2, degrees3, size)
    if operation == "clebsch_gordan":
        return len(paths)
    slots = (degrees1, degrees2, degrees3)
    rows = [[float(l == part) for part, slot in zip(path, slots, strict=True) for l in slot] for path in paths]
    return int(np.linalg.matrix_rank(np.array(rows))) if rows else 0


def by_jacobian(
    operation: str, degrees1: Degrees, degrees2: Degrees, degrees3: Degrees, size: int = 0, channels: int = 1, draws: int = 3
) -> int:
    """The rank of d(coefficient of each path) / d(weights) at random weights; the largest of some draws."""
    paths = interactable(operation, degrees1, degrees2, degrees3, size)
    if operation == "clebsch_gordan" or not paths:
        return len(paths)
    value = coefficient(operation, size)
    places = np.array([[slot.index(l) for slot, l in zip((degrees1, degrees2, degrees3), path, strict=True)] for path in paths])
    scales = np.array([value(path) for path in paths])
    generator = np.random.default_rng(0)
    sizes = [len(degrees1), len(degrees2), len(degrees3)]
    return max(_rank(scales, places, [generator.standard_normal((channels, n)) for n in sizes]) for _ in range(draws))


def of_problem(problem: Problem, channels: int = 1, draws: int = 3) -> int:
    """Of a product between linear maps, as its layers are: a weight per irrep of each operand and channel.

    Where an operand holds an irrep several times (fields of vectors), outside the maps there is one. With weighted paths it is
    a Clebsch-Gordan product: the number of triples.
    """
    kinds = triples_of(problem)
    if any(path.has_weight for path in problem.paths) or not kinds:
        return len(set(kinds))
    scales = np.array([path.coefficient for path in problem.paths])
    places = np.array([[path.i_in1, path.i_in2, path.i_out] for path in problem.paths])
    sums = np.array([[float(kind == each) for kind in kinds] for each in sorted(set(kinds))])
    generator = np.random.default_rng(0)
    sizes = len(problem.irreps_in1), len(problem.irreps_in2), len(problem.irreps_out)
    return max(_rank(scales, places, [generator.standard_normal((channels, n)) for n in sizes], sums) for _ in range(draws))


def triples_of(problem: Problem) -> list[str]:
    """The irreps that each path joins, as `1o x 1o -> 1e`."""
    slots = problem.irreps_in1, problem.irreps_in2, problem.irreps_out
    return [
        "{} x {} -> {}".format(*(_kind(slot[i]) for slot, i in zip(slots, (p.i_in1, p.i_in2, p.i_out), strict=True)))
        for p in problem.paths
    ]


def _kind(item: MulIrrep) -> str:
    return str(item).partition("x")[2]


def _rank(scales: np.ndarray, places: np.ndarray, weights: list[np.ndarray], sums: np.ndarray | None = None) -> int:
    """Of the derivative of scale * sum_c a_c[l1] b_c[l2] g_c[l3] by all a, b and g; of sums of those of several paths."""
    factors = [weight[:, places[:, slot]] for slot, weight in enumerate(weights)]
    columns = []
    for slot, weight in enumerate(weights):
        others = np.prod([factor for n, factor in enumerate(factors) if n != slot], axis=0)
        chosen = places[:, slot, None] == np.arange(weight.shape[1])
        columns.append((scales * others)[:, :, None] * chosen)
    jacobian = np.concatenate([np.moveaxis(part, 0, 1).reshape(len(scales), -1) for part in columns], axis=1)
    jacobian = jacobian if sums is None else sums @ jacobian
    return int(np.linalg.matrix_rank(jacobian, tol=1e-9 * np.linalg.norm(jacobian, 2)))
