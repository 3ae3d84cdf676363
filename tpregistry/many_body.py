"""Powers of a signal on the sphere as a problem, and the chain of Gaunt products that it is.

``(F_x)^n`` projected on harmonics, n = 1..correlation: the many-body product of MACE-like models with Gaunt's product (Luo,
Chen and Krishnapriyan, arXiv:2401.10216). There are neither weights nor paths, and no y: one operand is multiplied with itself.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb, factorial, pi, prod

import numpy as np

from tpregistry.irreps import Irreps, MulIrrep, natural
from tpregistry.problem import Problem
from tpregistry.products import gaunt

REGIME = ("dtype", "derivatives", "batch", "execution", "deterministic", "precision")
"""Fields that the products of a chain share with the whole."""


def gaunt_many_body(signal: Irreps | str, out: Irreps | str, correlation: int, dtype: str = "float32") -> Problem:
    """``integral of F_x^n Y`` for n = 1..correlation, one after another: the problem's output is so many times ``out``.

    Harmonics are orthonormal. Irreps are natural (0e, 1o, 2e...), each named once, all in as many copies. Raises ValueError for
    others, and for a correlation below 1.
    """
    signal, out = (rep if isinstance(rep, Irreps) else Irreps.parse(rep) for rep in (signal, out))
    if correlation < 1:
        raise ValueError(f"correlation {correlation}: at least 1")
    powers = Irreps(natural(out).items * correlation)
    return Problem(signal, Irreps(()), powers, (), True, dtype, operation="gaunt_many_body")


def wanted(problem: Problem) -> Irreps:
    """The irreps of each power."""
    return Irreps(problem.irreps_out.items[: len(problem.irreps_out) // problem.correlation])


def reached(problem: Problem) -> list[set[int]]:
    """The degrees that each power has at all, the first power's first: those of even l1 + l2 + l3 that couple."""
    signal = {item.l for item in problem.irreps_in1}
    found = [signal]
    for _ in range(1, problem.correlation):
        found.append({l for a in found[-1] for b in signal for l in range(abs(a - b), a + b + 1, 2)})
    return found


@lru_cache(maxsize=256)
def links(problem: Problem) -> tuple[Problem, ...]:
    """The chain: products that take each power, and the signal, to the next. They cut off only what cannot come back.

    The n-th power is kept to degree L_out + (correlation - n) L_in, from where the last one still reaches L_out; of the last
    there is what is wanted. It may have nothing of that, and is then left out.
    """
    signal, out = problem.irreps_in1, wanted(problem)
    regime = {name: getattr(problem, name) for name in REGIME}
    highest, ends = max(item.l for item in signal), {item.l for item in out}
    power, found = signal, []
    for n, degrees in enumerate(reached(problem)[1:], 2):
        rest = (problem.correlation - n) * highest
        kept = sorted(l for l in degrees if l <= max(ends) + rest and (rest or l in ends))
        following = Irreps(tuple(MulIrrep(signal[0].mul, l, (-1) ** l) for l in kept))
        found += [gaunt(power, signal, following, "integral").at(**regime)] if kept else []
        power = following
    return tuple(found)


def unit_variance(problem: Problem) -> np.ndarray:
    """What gives each power and degree unit variance where the signal's components are independent and normal.

    Shape (correlation, degrees); 1 where a power lacks the degree. The field is Gaussian with covariance ``k(t) = sum of
    (2 l + 1) / 4 pi P_l(t)``, t the cosine between two points; the variance of a component is ``2 pi`` times the integral of
    P_l(t) times the covariance of powers (Funk and Hecke).
    """
    degrees = [item.l for item in wanted(problem)]
    signal = [item.l for item in problem.irreps_in1]
    t, weights = np.polynomial.legendre.leggauss(problem.correlation * max(signal) + max(degrees) + 1)
    legendre = np.polynomial.legendre.legvander(np.append(t, 1.0), max(signal + degrees)).T
    covariance = np.sum([(2 * l + 1) / (4 * pi) * legendre[l] for l in signal], axis=0)
    powers = [_covariance_of_powers(n, covariance[:-1], covariance[-1]) for n in range(1, problem.correlation + 1)]
    squares = 2 * pi * np.array([[(weights * legendre[l, :-1] * power).sum() for l in degrees] for power in powers])
    has = np.array([[l in degrees_of_power for l in degrees] for degrees_of_power in reached(problem)])
    return 1 / np.sqrt(np.where(has, squares, 1.0))


def _covariance_of_powers(n: int, covariance: np.ndarray, variance: float) -> np.ndarray:
    """E[f^n g^n] of two normal numbers (Isserlis): j pairs between f and g, the rest among themselves."""

    def pairings(count: int) -> int:
        return prod(range(count - 1, 0, -2))

    ways = {j: factorial(j) * comb(n, j) ** 2 * pairings(n - j) ** 2 for j in range(n % 2, n + 1, 2)}
    return sum((count * variance ** (n - j) * covariance**j for j, count in ways.items()), np.zeros_like(covariance))
