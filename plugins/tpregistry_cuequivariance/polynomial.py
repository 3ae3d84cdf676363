"""A plan as segmented polynomials: one for all terms that combine copies in the same way and, where it is one, in the same number.

Coefficients, order, signs and rounding are the plan's; nothing of the library's own irreps, bases or normalisations is
used. Terms of one number of copies stay together because `uniform_1d`, its fastest method, wants all segments alike:
128x0e+64x1o is two such polynomials, and none at all if taken whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from tpregistry.plan import Plan, Segment, Term


@dataclass(frozen=True)
class Group:
    """A polynomial, and the pieces that its operands are made of, in their order: (weights or ones,) x, y and out.

    ``w`` and ``ones`` are empty where no weights and no sums of their own are needed. ``uniform``: one index of copies.
    """

    polynomial: Any
    uniform: bool
    w: tuple[Segment, ...]
    ones: tuple[Segment, ...]
    x: tuple[Segment, ...]
    y: tuple[Segment, ...]
    out: tuple[Segment, ...]

    @property
    def x_place(self) -> int:
        """Which of the polynomial's operands x is."""
        return 1 if self.w or self.ones else 0


def groups(plan: Plan, cue: ModuleType) -> list[Group]:
    """All terms of a plan."""
    kinds: dict[Any, list[Term]] = {}
    for term in plan.terms:
        kinds.setdefault(_kind(term), []).append(term)
    return [_group(terms, cue) for terms in kinds.values()]


def _kind(term: Term) -> tuple[Any, ...]:
    wide = _wide(term)
    return *(segment.channels for segment in (*term.factors, term.target)), tuple(wide) if len(wide) < 2 else "several"


def _wide(term: Term) -> set[tuple[str, int]]:
    """Indices of copies that take more than one value, and how many they take."""
    segments = (*term.factors, term.target)
    return {(letter, size) for s in segments for letter, size in zip(s.channels, _copies(s), strict=True) if size > 1}


def _group(terms: list[Term], cue: ModuleType) -> Group:
    rows = [_operands(term) for term in terms]
    pieces = [_sorted(column) for column in zip(*rows, strict=True)]
    product = cue.SegmentedTensorProduct.from_subscripts(",".join(s.components + s.channels for s in rows[0]) + "+ijk")
    for number, column in enumerate(pieces):
        product.add_segments(number, [turned_shape(segment) for segment in column])
    for term, row in zip(terms, rows, strict=True):
        product.add_path(*(column.index(segment) for column, segment in zip(pieces, row, strict=True)), c=term.coefficients)
    factor = pieces[0] if len(pieces) == 4 else ()
    weighted = len(terms[0].factors) == 3
    w, ones = (factor, ()) if weighted else ((), factor)
    return Group(cue.SegmentedPolynomial.eval_last_operand(product), len(_wide(terms[0])) < 2, w, ones, *pieces[-3:])


def _operands(term: Term) -> tuple[Segment, ...]:
    """Weights first: `fused_tp` of 0.13 takes the number of samples from its last input, and weights may be shared."""
    x, y, *weights = term.factors
    return *(weights or _ones(term)), x, y, term.target


def _ones(term: Term) -> list[Segment]:
    """Ones for the channels that an unweighted term sums over: a segmented product sums those only that two operands have."""
    segments = (*term.factors, term.target)
    counts = Counter("".join(segment.channels for segment in segments))
    sizes = {letter: size for s in segments for letter, size in zip(s.channels, _copies(s), strict=True) if counts[letter] == 1}
    return [Segment("ones", 0, "".join(sizes), "", tuple(sizes.values()))] if sizes else []


def _sorted(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """Each once, as they lie in memory."""
    return tuple(sorted(set(segments), key=lambda segment: (segment.start, segment.shape, segment.gather or ())))


def turned_shape(segment: Segment) -> tuple[int, ...]:
    """Components before copies, as the methods for GPUs want them: they cut operands into vectors of copies."""
    return *segment.shape[len(segment.channels) :], *_copies(segment)


def _copies(segment: Segment) -> tuple[int, ...]:
    return segment.shape[: len(segment.channels)] if segment.gather is None else (len(segment.gather),)
