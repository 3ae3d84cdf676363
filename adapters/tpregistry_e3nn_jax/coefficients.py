"""e3nn-jax's coefficients against ours."""

from __future__ import annotations

from functools import cache

import e3nn_jax as e3nn
import numpy as np

from tpregistry.errors import TPError
from tpregistry.so3 import rounded_wigner_3j


class Unreadable(TPError):
    """A product that a problem cannot describe; the host's code runs."""


@cache
def scale(l1: int, l2: int, l3: int) -> int:
    """The sign by which e3nn-jax's coefficients differ from ours. Raises Unreadable where they differ by more."""
    theirs, ours = e3nn.clebsch_gordan(l1, l2, l3), rounded_wigner_3j(l1, l2, l3, "exact")
    sign = 1 if float(np.vdot(theirs, ours)) > 0 else -1
    if abs(theirs - sign * ours).max() > 1e-10:
        raise Unreadable(f"e3nn-jax's coefficients for l = {(l1, l2, l3)} are not the 3j symbols")
    return sign
