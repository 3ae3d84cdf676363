"""Coefficients and representations of SO(3) in float64, for any degree, with numpy alone."""

from tpregistry.so3.clebsch_gordan import rounded_wigner_3j, wigner_3j
from tpregistry.so3.rotation import irreps_matrix, wigner_D

__all__ = ["irreps_matrix", "rounded_wigner_3j", "wigner_3j", "wigner_D"]
