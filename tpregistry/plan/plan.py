"""Plans: sparse polynomials over channel-wise operands, closed under differentiation.

A plan maps input operands to output operands. Each term multiplies segments (pieces) of some inputs, contracts their
components with constant coefficients, and adds the product to a segment of an output. Every term is linear in each of
its factors, so the vector-Jacobian product of a plan is again a plan, and all orders of derivatives follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tpregistry.lazy import lazy

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Operand:
    """A named array of shape (batch, size), or (size,) where it is shared by all samples.

    With a ``site`` ("sender", "receiver") it has a row per node: samples are edges, which read that row of their sender or
    receiver, or are summed into it.
    """

    name: str
    size: int
    batched: bool = True
    site: str = ""

    def renamed(self, name: str) -> Operand:
        """Another array of the same shape."""
        return replace(self, name=name)


@dataclass(frozen=True)
class Segment:
    """A piece of an operand, seen as an array of shape ``channel sizes + component sizes`` (layout ``mul_ir``).

    ``gather`` replaces the single channel of the stored array by a list of positions (pairs u < v): the segment is then
    read at, or added to, those positions.
    """

    operand: str
    start: int
    channels: str
    components: str
    shape: tuple[int, ...]
    gather: tuple[int, ...] | None = None

    @property
    def letters(self) -> str:
        """One letter per axis, channels first."""
        return self.channels + self.components

    @property
    def viewed_shape(self) -> tuple[int, ...]:
        """The shape as it is read: one channel per gathered position."""
        return self.shape if self.gather is None else (len(self.gather), *self.shape[1:])

    @property
    def stop(self) -> int:
        """Where the piece ends within one sample."""
        return self.start + int(np.prod(self.shape, dtype=int))

    def __str__(self) -> str:
        pairs = " at pairs" if self.gather else ""
        return f"{self.operand}[{self.start}:{self.stop}]{'.' + self.letters if self.letters else ''}{pairs}"


@dataclass(frozen=True, eq=False)
class Term:
    """``target += sum(coefficients * product of factors)``; ``coefficients`` has one axis per letter of ``components``."""

    factors: tuple[Segment, ...]
    target: Segment
    components: str
    coefficients: Array

    def transposed(self, position: int, cotangent: str) -> Term:
        """The term that sends the target's cotangent to factor ``position``: the two change places."""
        factor = self.factors[position]
        received = _renamed(self.target, cotangent)
        others = (*self.factors[:position], received, *self.factors[position + 1 :])
        return Term(others, _renamed(factor, f"d{factor.operand}"), self.components, self.coefficients)

    def moved(self, position: int, tangent: str) -> Term:
        """The term with the tangent of factor ``position`` in that factor's place, for the tangent of the target."""
        factors = (*self.factors[:position], _renamed(self.factors[position], tangent), *self.factors[position + 1 :])
        return Term(factors, _renamed(self.target, f"t{self.target.operand}"), self.components, self.coefficients)

    def __str__(self) -> str:
        product = " * ".join(map(str, self.factors))
        return f"{self.target} += C_{self.components}({np.count_nonzero(self.coefficients)} non-zeros) * {product}"


@dataclass(frozen=True, eq=False)
class Plan:
    """Inputs, outputs and the terms between them."""

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    terms: tuple[Term, ...]

    @lazy
    def operand(self) -> dict[str, Operand]:
        """Operands by name."""
        return {operand.name: operand for operand in self.inputs + self.outputs}

    @lazy
    def multilinear(self) -> bool:
        """Whether no term has an operand twice: then the gradient by an operand depends on the others alone."""
        return all(len({factor.operand for factor in term.factors}) == len(term.factors) for term in self.terms)

    def letters(self, segment: Segment) -> str:
        """One letter per axis, samples (z) first where the operand has them."""
        return ("z" if self.operand[segment.operand].batched else "") + segment.letters

    def einsum(self, term: Term) -> tuple[str, tuple[int, ...]]:
        """A term as subscripts of (factors, coefficients, ones), and the shape of the ones: channels that only the target has."""
        letters = [self.letters(segment) for segment in term.factors]
        missing = "".join(sorted(set(term.target.channels) - set("".join(letters))))
        sizes = dict(zip(term.target.letters, term.target.viewed_shape, strict=True))
        subscripts = ",".join([*letters, term.components, missing]) + "->" + self.letters(term.target)
        return subscripts, tuple(sizes[letter] for letter in missing)

    def vjp(self) -> Plan:
        """The plan of all gradients at once: inputs and cotangents of the outputs in, cotangents of the inputs out.

        The cotangent of an operand ``x`` is called ``dx``; a cotangent that comes in is primed where that name is taken.
        """
        cotangents = tuple(o.renamed(self._fresh(f"d{o.name}")) for o in self.outputs)
        incoming = {o.name: c.name for o, c in zip(self.outputs, cotangents, strict=True)}
        gradients = tuple(o.renamed(f"d{o.name}") for o in self.inputs)
        terms = (
            term.transposed(position, incoming[term.target.operand]) for term in self.terms for position in range(len(term.factors))
        )
        return Plan(self.inputs + cotangents, gradients, tuple(terms))

    def part(self, given: tuple[bool, ...], wanted: tuple[bool, ...]) -> Plan:
        """The plan of some outputs, where the inputs that are not given are zero."""
        inputs = tuple(operand for operand, is_given in zip(self.inputs, given, strict=True) if is_given)
        outputs = tuple(operand for operand, is_wanted in zip(self.outputs, wanted, strict=True) if is_wanted)
        names = {operand.name for operand in inputs}, {operand.name for operand in outputs}
        kept = (t for t in self.terms if t.target.operand in names[1] and {factor.operand for factor in t.factors} <= names[0])
        return Plan(inputs, outputs, tuple(kept))

    def tangent(self, given: tuple[bool, ...]) -> Plan:
        """The plan of the outputs' tangents: inputs, and the tangents of those ``given``, in; it is linear in the tangents.

        The tangent of an operand ``x`` is called ``tx``, primed where that name is taken: a plan of tangents has its own.
        """
        moving = {o.name: o.renamed(self._fresh(f"t{o.name}")) for o, g in zip(self.inputs, given, strict=True) if g}
        outputs = tuple(o.renamed(f"t{o.name}") for o in self.outputs)
        terms = (
            term.moved(position, moving[factor.operand].name)
            for term in self.terms
            for position, factor in enumerate(term.factors)
            if factor.operand in moving
        )
        return Plan((*self.inputs, *moving.values()), outputs, tuple(terms))

    def transposed(self, linear: tuple[bool, ...], given: tuple[bool, ...]) -> Plan:
        """The transpose of a plan that is linear in some inputs taken together, where only some outputs have a cotangent.

        The other inputs and those cotangents in, the cotangents of the linear inputs out.
        """
        fixed = tuple(operand for operand, is_linear in zip(self.inputs, linear, strict=True) if not is_linear)
        sought = tuple(operand for operand, is_linear in zip(self.inputs, linear, strict=True) if is_linear)
        whole = self.vjp()
        wanted = tuple(operand in sought for operand in self.inputs)
        kept = (True,) * len(self.inputs) + given
        part = whole.part(kept, wanted)
        assert not {o.name for o in sought} & {f.operand for t in part.terms for f in t.factors}, "not linear in these together"
        return part.part(tuple(operand in fixed or operand not in self.inputs for operand in part.inputs), (True,) * len(sought))

    def with_samples(self, batched: tuple[bool, ...]) -> Plan:
        """The same function where the inputs, then the outputs, so marked have a row for each sample."""
        changed = iter(batched)
        rows = [tuple(replace(o, batched=next(changed)) for o in group) for group in (self.inputs, self.outputs)]
        return Plan(rows[0], rows[1], self.terms)

    def _fresh(self, name: str) -> str:
        while name in {operand.name for operand in self.inputs} | {f"d{operand.name}" for operand in self.inputs}:
            name += "'"
        return name

    def __str__(self) -> str:
        def describe(operands: tuple[Operand, ...]) -> str:
            return ", ".join(f"{o.name}({_rows(o)}{o.size})" for o in operands)

        head = f"plan {describe(self.inputs)} -> {describe(self.outputs)}, {len(self.terms)} terms"
        return "\n  ".join([head, *map(str, self.terms)])


def _rows(operand: Operand) -> str:
    return f"{operand.site}s, " if operand.site else "batch, " if operand.batched else ""


def _renamed(segment: Segment, operand: str) -> Segment:
    return Segment(operand, segment.start, segment.channels, segment.components, segment.shape, segment.gather)
