"""Products of signals for the conformance kit: operations that no host has, checked against their definition."""

from __future__ import annotations

from tpregistry import products
from tpregistry.irreps import Irreps
from tpregistry.many_body import gaunt_many_body
from tpregistry.problem import Problem
from tpregistry.testing.zoo import BATCH

NATURAL = "5x0e+5x1o+5x2e"
PARITIES = "2x0o+2x0e+2x1e+2x1o+2x3o"


def signals(dtype: str = "float32") -> dict[str, Problem]:
    """Each operation on irreps of one parity and of both, unsorted ones too, at a small batch."""
    field = products.vector_irreps(1, 3)
    fields = Irreps(field.items + products.vector_irreps(1, 3, axial=True).items)
    found = {
        "gaunt": products.gaunt(NATURAL, NATURAL, NATURAL, dtype=dtype),
        "gaunt, both parities": products.gaunt(PARITIES, PARITIES, "2x4o+2x0o+2x2e+2x1e", dtype=dtype),
        "gaunt, to degree 6": products.gaunt("3x6e+3x0e", "3x5o+3x4e", "3x6e+3x1o", dtype=dtype),
        "curl": products.curl(NATURAL, NATURAL, "5x1e+5x2o", dtype=dtype),
        "curl, both parities": products.curl(PARITIES, PARITIES, PARITIES, dtype=dtype),
        "vector signal": products.vector_signal(field, field, products.vector_irreps(2, 3, axial=True), dtype=dtype),
        "vector signal, polar and axial": products.vector_signal(fields, fields, fields, dtype=dtype),
        "gaunt, three factors": gaunt_many_body("5x0e+5x1o+5x2e+5x3o", "5x0e+5x1o+5x2e", 3, dtype),
        "gaunt, four factors of some degrees": gaunt_many_body("2x3o+2x1o", "2x2e+2x5o+2x0e", 4, dtype),
        "matrix product": products.matrix_product(NATURAL, NATURAL, "5x0e+5x1o+5x1e+5x4e", dtype=dtype),
        "matrix product, both parities": products.matrix_product(PARITIES, PARITIES, PARITIES, dtype=dtype),
    }
    return {name: problem.at(batch=BATCH) for name, problem in found.items()}
