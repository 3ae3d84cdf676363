"""What the tests of model hosts share: a rattled crystal, and how many calls ran where."""

from collections import Counter

import pytest
from ase import Atoms
from ase.build import bulk

import tpregistry


@pytest.fixture(scope="session")
def crystal() -> Atoms:
    """Rock salt, eight atoms, off its lattice so that there are forces."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(0.05, seed=0)
    return atoms


def calls() -> Counter[str]:
    """Calls of this test by backend."""
    counts = Counter[str]()
    for decision in tpregistry.decisions():
        counts[decision.backend] += decision.calls
    return counts


def convolutions() -> int:
    """Calls of fused convolutions in this test."""
    return sum(d.calls for d in tpregistry.decisions() if d.problem.convolves and d.kernel)
