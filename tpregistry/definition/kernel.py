"""Each path of a product by one contraction, as it is written."""

from __future__ import annotations

from collections.abc import Sequence

from tpregistry.arrays import Array
from tpregistry.backend import Kernel
from tpregistry.chain import Chained
from tpregistry.definition.contraction import ContractionKernel
from tpregistry.many_body import links
from tpregistry.plan import Term
from tpregistry.portable import PortableKernel
from tpregistry.problem import Problem


def build(problem: Problem, device: str, framework: str) -> Kernel:
    """Paths one by one; powers of a signal by products of two, one after another."""
    if problem.contracts:
        return ContractionKernel(problem, device, framework)
    if problem.correlation:
        return Chained(problem, [build(link, device, framework) for link in links(problem)], device, framework)
    return DefinitionKernel(problem.product, device, framework)


class DefinitionKernel(PortableKernel):
    """C_ijk x_i y_j for each path on its own: slow, and obviously right."""

    def prepare(self, terms: Sequence[Term]) -> None:
        """A constant and subscripts per path."""
        self._terms = [(*term.factors[:2], self.arrays.constant(term.coefficients)) for term in terms]

    def products(self, x: Array, y: Array) -> list[Array]:
        """See `PortableKernel.products`."""
        found = []
        for first, second, constant in self._terms:
            both = first.channels if first.channels == second.channels else first.channels + second.channels
            subscripts = f"z{first.letters},z{second.letters},ijk->z{both}k"
            found.append(self.arrays.einsum(subscripts, self.read(first, x), self.read(second, y), constant))
        return found
