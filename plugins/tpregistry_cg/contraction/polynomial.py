"""Polynomials written down: values, gradients and gradients of a directional derivative, each in one walk through the trees.

A value is the name of a vector, or None where it is zero by structure. A polynomial has coefficients W (one per monomial) and
variables x; dotted quantities are derivatives in a direction (a for x, C for W), barred ones are gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tpregistry.native.text import Text
from tpregistry_cg.contraction.horner import Node

Value = str | None
Coefficient = Callable[[int], Value]
Add = Callable[[int, str], None]


BLOCK = 32
"""Branches of a polynomial that is compiled apart from its neighbours."""


def multiply_add(text: Text, left: Value, right: Value, total: Value, width: int) -> Value:
    """``left * right + total`` of what is not zero."""
    return total if left is None or right is None else text.multiply_add(left, right, total, width)


@dataclass(eq=False)
class Walk:
    """What is known on the way through a tree. ``tangents`` and ``moved`` (of W) are empty and zero without a direction."""

    text: Text
    width: int
    x: Sequence[str]
    coefficient: Coefficient
    tangents: Sequence[str] = ()
    moved: Coefficient = lambda number: None
    add: Add | None = None
    values: dict[Node, Value] = field(default_factory=dict)
    dots: dict[Node, Value] = field(default_factory=dict)

    def _branches(self, node: Node) -> Iterator[tuple[int, Node]]:
        """Each large one begins a basic block."""
        for variable, child in node.branches:
            if child.size > BLOCK:
                self.text.cut()
            yield variable, child

    def value(self, node: Node) -> Value:
        """The polynomial; those of its branches are kept."""
        total = None if node.own is None else self.coefficient(node.own)
        for variable, child in self._branches(node):
            total = self._fused(self.x[variable], self._of(child, self.value, self.values), total)
        return total

    def dot(self, node: Node) -> Value:
        """Its derivative in the direction, after `value`."""
        total = None if node.own is None else self.moved(node.own)
        for variable, child in self._branches(node):
            total = self._fused(self.tangents[variable], self._of(child, self.value, self.values), total)
            total = self._fused(self.x[variable], self._of(child, self.dot, self.dots), total)
        return total

    def _of(self, node: Node, make: Callable[[Node], Value], kept: dict[Node, Value]) -> Value:
        """A leaf is read again wherever it is wanted, from memory."""
        if not node.branches:
            return make(node)
        if node not in kept:
            kept[node] = make(node)
        return kept[node]

    def gradient(self, node: Node, bar: Value, gradients: list[Value]) -> None:
        """Add to the gradients by variables, and by coefficients through ``add``, where the node's own is ``bar``."""
        self._add(node, bar)
        for variable, child in self._branches(node):
            gradients[variable] = self._fused(bar, self._of(child, self.value, self.values), gradients[variable])
            if child.branches or self.add:
                self.gradient(child, self._fused(bar, self.x[variable], None), gradients)

    def gradient_of_dot(self, node: Node, bar: Value, dotted: Value, gradients: list[Value]) -> None:
        """The same for the derivative in the direction: ``bar`` belongs to it, ``dotted`` is what ``bar`` becomes there."""
        self._add(node, dotted)
        for variable, child in self._branches(node):
            found = self._fused(dotted, self._of(child, self.value, self.values), gradients[variable])
            gradients[variable] = self._fused(bar, self._of(child, self.dot, self.dots), found)
            below = self._fused(bar, self.x[variable], None) if child.branches else None
            turned = self._fused(bar, self.tangents[variable], self._fused(dotted, self.x[variable], None))
            self.gradient_of_dot(child, below, turned, gradients)

    def _add(self, node: Node, bar: Value) -> None:
        if self.add is not None and node.own is not None and bar is not None:
            self.add(node.own, bar)

    def _fused(self, left: Value, right: Value, total: Value) -> Value:
        return multiply_add(self.text, left, right, total, self.width)
