"""Vectors scaled by scalars through dense weights, a few samples at a time: no matrix of a sample is ever kept.

The matrices of all samples are much larger than the operands, and new memory at every call of torch's own functions. Each
term of the plan, and of its derivatives, either applies such matrices or adds up outer products in their place.
"""

from __future__ import annotations

from collections import defaultdict

import torch

from tpregistry.plan import Plan, Term

Tensor = torch.Tensor
Pairs = tuple[tuple[str, str], ...]

CHUNK_BYTES = 8 * 2**20
"""Matrices of a chunk: within a processor's cache, and enough work for its matrix products."""


class ScalingKernel:
    """A plan of `tpregistry.plan.scaling`, or a derivative of it; returns the plan's outputs as a tuple."""

    engine = "torch"

    def __init__(self, plan: Plan, copies: tuple[int, int, int]) -> None:
        self.plan, self.copies = plan, copies
        self.coefficient = float(plan.terms[0].coefficients.flat[0]) if plan.terms else 0.0

    def vjp(self) -> ScalingKernel:
        """All gradients at once."""
        return ScalingKernel(self.plan.vjp(), self.copies)

    def part(self, given: tuple[bool, ...], wanted: tuple[bool, ...]) -> ScalingKernel:
        """Only some outputs, where some inputs are zero and not given."""
        return ScalingKernel(self.plan.part(given, wanted), self.copies)

    def __call__(self, *operands: Tensor) -> tuple[Tensor, ...]:
        """The plan's outputs for its inputs."""
        batch = next(len(tensor) for operand, tensor in zip(self.plan.inputs, operands, strict=True) if operand.batched)
        outputs = [operands[0].new_zeros((batch, o.size) if o.batched else o.size) for o in self.plan.outputs]
        s, t, w = self.copies
        batched, shared = {}, {}
        for operand, tensor in zip(self.plan.inputs + self.plan.outputs, (*operands, *outputs), strict=True):
            if operand.batched:
                batched[operand.name] = tensor
            else:
                shared[operand.name] = tensor.reshape(s, t * w)
        rows = max(1, CHUNK_BYTES // (t * w * operands[0].itemsize))
        for start in range(0, batch, rows):
            chunk = {name: tensor[start : start + rows] for name, tensor in batched.items()}
            _Chunk(chunk | shared, self.copies).add(self.plan.terms)
        return tuple(output.mul_(self.coefficient) for output in outputs)


class _Chunk:
    """A few samples: operands and outputs by name, and the matrices (sample, t, w) that several terms may need."""

    def __init__(self, values: dict[str, Tensor], copies: tuple[int, int, int]) -> None:
        self.values, self.copies = values, copies
        self._matrices: dict[Pairs, Tensor] = {}
        self._products: dict[Pairs, Tensor] = {}

    def add(self, terms: tuple[Term, ...]) -> None:
        """Add the terms to the outputs; what two of them multiply by the same operand is added up before."""
        sums: dict[tuple[str, str, str], set[tuple[str, str]]] = defaultdict(set)
        for term in terms:
            role = {segment.channels: segment.operand for segment in (*term.factors, term.target)}
            free = term.target.channels
            applied, pair = (("w", "t")[free == "w"], ("s", "stw")) if free in "tw" else (("stw", "s")[free == "stw"], ("t", "w"))
            sums[free, term.target.operand, role[applied]].add((role[pair[0]], role[pair[1]]))
        for (free, output, operand), pairs in sums.items():
            getattr(self, f"_to_{free}")(self.values[output], self.values[operand], tuple(sorted(pairs)))

    def _to_w(self, out: Tensor, vectors: Tensor, pairs: Pairs) -> None:
        _, t, w = self.copies
        found = torch.bmm(vectors.unflatten(1, (t, -1)).transpose(1, 2), self._matrix(pairs))
        out.unflatten(1, (w, -1)).add_(found.transpose(1, 2))

    def _to_t(self, vectors: Tensor, out: Tensor, pairs: Pairs) -> None:
        _, t, w = self.copies
        found = torch.bmm(out.unflatten(1, (w, -1)).transpose(1, 2), self._matrix(pairs).transpose(1, 2))
        vectors.unflatten(1, (t, -1)).add_(found.transpose(1, 2))

    def _to_s(self, scalars: Tensor, weights: Tensor, pairs: Pairs) -> None:
        scalars.addmm_(self._product(pairs), weights.t())

    def _to_stw(self, weights: Tensor, scalars: Tensor, pairs: Pairs) -> None:
        weights.addmm_(scalars.t(), self._product(pairs))

    def _matrix(self, pairs: Pairs) -> Tensor:
        """Sum of scalars times weights, shape (sample, t, w)."""
        if pairs not in self._matrices:
            (scalars, weights), *others = pairs
            found = self.values[scalars] @ self.values[weights]
            for scalars, weights in others:
                found.addmm_(self.values[scalars], self.values[weights])
            self._matrices[pairs] = found.unflatten(1, self.copies[1:])
        return self._matrices[pairs]

    def _product(self, pairs: Pairs) -> Tensor:
        """Sum of vectors times outputs, over components; shape (sample, t * w)."""
        if pairs not in self._products:
            _, t, w = self.copies
            shaped = [(self.values[a].unflatten(1, (t, -1)), self.values[b].unflatten(1, (w, -1))) for a, b in pairs]
            found = torch.bmm(shaped[0][0], shaped[0][1].transpose(1, 2))
            for vectors, out in shaped[1:]:
                found.baddbmm_(vectors, out.transpose(1, 2))
            self._products[pairs] = found.flatten(1)
        return self._products[pairs]
