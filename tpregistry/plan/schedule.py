"""The schedule of a plan: its terms ordered for a machine, one sample at a time, with the channels as vector lanes.

All terms with the same coefficients at the same places form a block. With its operands in the roles

    out[c, k] += sum_ij  w[c] * a[c, i] * C[i, j, k] * b[j]

c runs over the lanes and M[i, k] = sum_j C[i, j, k] b[j] does not depend on it: it is *hoisted*, computed once per sample
and shared by all lanes. Where b has copies of its own, they are an outer loop s; where x and y are taken copy by copy
(`uuu`), b has lanes too and M is a vector. Each term leaves another role free (its target): all of a block's terms, of
a forward or of any derivative, are evaluated in one sweep over the lanes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from tpregistry.lazy import lazy
from tpregistry.plan.plan import Array, Plan, Segment, Term

ROLES = ("a", "b", "w", "out")


@dataclass(frozen=True)
class Place:
    """Where a role lies in a sample's row: ``start + c * lane + s * loop + component``."""

    start: int
    lane: int
    loop: int
    size: int
    length: int

    @property
    def stop(self) -> int:
        """Where the piece ends."""
        return self.start + self.length


@dataclass(frozen=True)
class Use:
    """One term of a block: the operand in each role, and which of the roles is the target. ``w`` may be empty."""

    a: str
    b: str
    w: str
    out: str
    target: str

    def operand(self, role: str) -> str:
        """The operand in a role."""
        return getattr(self, role)

    def __str__(self) -> str:
        factors = " ".join(self.operand(role) for role in ROLES if role != self.target and self.operand(role))
        return f"{self.operand(self.target)} += {factors}"


@dataclass(frozen=True, eq=False)
class Block:
    """Terms that share coefficients C[i, j, k] (components of a, b and out) and places."""

    a: Place
    b: Place
    w: Place | None
    out: Place
    lanes: int
    loops: int
    coefficients: Array
    uses: tuple[Use, ...]
    swapped: bool = False
    """Whether y has the role of a, and x that of b."""

    @property
    def hoisted(self) -> bool:
        """Whether M is the same for all lanes."""
        return self.b.lane == 0

    @lazy
    def pairs(self) -> list[tuple[int, int]]:
        """The (i, k) at which M is not zero by its structure."""
        return [(int(i), int(k)) for i, k in np.argwhere(np.any(self.coefficients != 0, axis=1))]

    def terms_of_pair(self, i: int, k: int) -> list[tuple[int, float]]:
        """The j and C[i, j, k] that M[i, k] sums over."""
        return [(int(j), float(self.coefficients[i, j, k])) for j in np.flatnonzero(self.coefficients[i, :, k])]

    def place(self, role: str) -> Place:
        """The place of a role that the block has."""
        found = getattr(self, role)
        assert found is not None
        return found

    def __str__(self) -> str:
        over = f"{self.lanes} lanes" + (f", {self.loops} times" if self.loops > 1 else "")
        matrix = f"M({len(self.pairs)} of {self.a.size}x{self.out.size})" if self.hoisted else "M per lane"
        weight = f" w[{self.w.start}]" if self.w else ""
        places = f"a[{self.a.start}] b[{self.b.start}]{weight} out[{self.out.start}]"
        return f"{over}: {places} {matrix} {np.count_nonzero(self.coefficients)} non-zeros: " + "; ".join(map(str, self.uses))


@dataclass(frozen=True, eq=False)
class Schedule:
    """Groups of blocks that read or write the same piece of a, in the order in which they run for each sample."""

    plan: Plan
    groups: tuple[tuple[Block, ...], ...]

    @lazy
    def operations(self) -> int:
        """Multiplications per sample, roughly: what decides whether threads pay."""
        return sum(len(b.pairs) * b.lanes * b.loops * len(b.uses) for group in self.groups for b in group)

    def nanoseconds(self, itemsize: int) -> float:
        """A sample's time on one core, roughly: arithmetic and traffic, of which the slower counts."""
        numbers = sum(operand.size for operand in self.plan.inputs + self.plan.outputs if operand.batched)
        return max(self.operations / 25, numbers * itemsize / 15)

    def __str__(self) -> str:
        lines = [str(self.plan).partition("\n")[0], f"schedule: {sum(map(len, self.groups))} blocks, per sample:"]
        for group in self.groups:
            lines.append(f"  a at {group[0].a.start}, {group[0].lanes} lanes of {group[0].a.size}")
            lines += [f"    {block}" for block in group]
        return "\n".join(lines)


class NotScheduled(ValueError):
    """A plan with a term that is not a product channel by channel (`uvw`, `uuw`, pairs u < v)."""


def schedule(plan: Plan) -> Schedule:
    """Gather the terms of a plan into blocks, and blocks into groups. Raises NotScheduled."""
    gathered: dict[tuple, list[Term]] = {}
    for term in plan.terms:
        gathered.setdefault(_places(term), []).append(term)
    blocks = sorted((_block(terms) for terms in gathered.values()), key=_group_key)
    return Schedule(plan, tuple(tuple(group) for _, group in groupby(blocks, key=_group_key)))


def _group_key(block: Block) -> tuple:
    return block.swapped, block.hoisted, block.a.start, block.lanes


def _by_letter(term: Term) -> dict[str, Segment]:
    """Segments by component letter: i is x's slot, j is y's, k is the output's, and the weight has none."""
    return {segment.components: segment for segment in (*term.factors, term.target)}


def _places(term: Term) -> tuple:
    slots = _by_letter(term)
    return tuple((letter, s.start, s.channels, s.shape) for letter, s in sorted(slots.items())), id(term.coefficients)


def _block(terms: list[Term]) -> Block:
    slots = _by_letter(terms[0])
    x, y, out, weight = slots["i"], slots["j"], slots["k"], slots.get("")
    if any(segment.gather for segment in (x, y, out)) or not out.channels or out.channels[-1] not in x.channels + y.channels:
        raise NotScheduled(f"not a product channel by channel: {terms[0]}")
    lane = out.channels[-1]
    swapped = lane not in x.channels
    a, b = (y, x) if swapped else (x, y)
    loop = b.channels if b.channels != lane else ""
    coefficients = terms[0].coefficients.transpose(1, 0, 2) if swapped else terms[0].coefficients
    places = [place and _place(place, lane, loop) for place in (a, b, weight, out)]
    uses = tuple(_use(term, swapped) for term in terms)
    return Block(*places, lanes=a.shape[0], loops=b.shape[0] if loop else 1, coefficients=coefficients, uses=uses, swapped=swapped)  # type: ignore[arg-type]


def _place(segment: Segment, lane: str, loop: str) -> Place:
    axes = list(zip(segment.letters, segment.shape, strict=True))
    strides: dict[str, int] = {}
    stride = 1
    for letter, size in reversed(axes):
        strides[letter] = stride
        stride *= size
    size = segment.shape[-1] if segment.components else 1
    return Place(segment.start, strides.get(lane, 0), strides.get(loop, 0), size, stride)


def _use(term: Term, swapped: bool) -> Use:
    slots = _by_letter(term)
    names = {letter: segment.operand for letter, segment in slots.items()}
    target = {"i": "b" if swapped else "a", "j": "a" if swapped else "b", "k": "out", "": "w"}[term.target.components]
    a, b = (names["j"], names["i"]) if swapped else (names["i"], names["j"])
    return Use(a, b, names.get("", ""), names["k"], target)


def written(blocks: Iterable[Block]) -> dict[str, list[tuple[int, int]]]:
    """Ranges of each target's row that some block writes."""
    found: dict[str, list[tuple[int, int]]] = {}
    for block in blocks:
        for use in block.uses:
            place = block.place(use.target)
            found.setdefault(use.operand(use.target), []).append((place.start, place.stop))
    return found
