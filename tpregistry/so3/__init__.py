"""Coefficients and representations of SO(3) in float64, for any degree, with numpy alone."""

from tpregistry.so3.clebsch_gordan import rounded_wigner_3j, wigner_3j
from tpregistry.so3.rotation import irreps_matrix, wigner_D
from tpregistry.so3.symbols import curl, gaunt, matrix_product, vector_signal, wigner_6j, wigner_9j

__all__ = [
    "curl",
    "gaunt",
    "irreps_matrix",
    "matrix_product",
    "rounded_wigner_3j",
    "vector_signal",
    "wigner_3j",
    "wigner_6j",
    "wigner_9j",
    "wigner_D",
]
