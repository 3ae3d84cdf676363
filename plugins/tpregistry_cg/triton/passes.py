"""Which blocks share a kernel, and which a program of it.

Places that overlap without being the same (two modes that write to one piece in different ways) are written by kernels one
after the other; so are parts of a plan that would be too long as one. Groups that write to nothing in common are programs
side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tpregistry.plan import Plan
from tpregistry.plan.schedule import Block, Schedule


@dataclass(frozen=True)
class Target:
    """A piece of a row that is written: numbers at ``start + lane * c + component``; summed over lanes where ``lane`` is 0."""

    operand: str
    start: int
    lane: int
    lanes: int
    size: int

    @property
    def numbers(self) -> list[int]:
        """Where it lies."""
        return [self.start + self.lane * c + j for c in range(self.lanes) for j in range(self.size)]


class Written:
    """What kernels before the current one have written."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._before: set[Number] = set()
        self._now: set[Number] = set()
        self._mixed: set[str] = set()
        self.added: set[str] = set()

    def next(self, targets: list[Target]) -> None:
        """Another kernel, which writes these."""
        self._before |= self._now
        self._now = {(target.operand, n) for target in targets for n in target.numbers}
        self.added |= {target.operand for target in targets if self.adds(target)}
        self._mixed |= {target.operand for target in targets if self.adds(target) and not self._all(target)}

    def adds(self, target: Target) -> bool:
        """Whether a target is added to what is there."""
        return any((target.operand, n) in self._before for n in target.numbers)

    def _all(self, target: Target) -> bool:
        return all((target.operand, n) in self._before for n in target.numbers)

    def cleared(self) -> frozenset[str]:
        """Outputs that must be zeros: of which some numbers are never written, or are added to before they are."""
        reached = self._before | self._now
        missed = {o.name for o in self._plan.outputs if any((o.name, n) not in reached for n in range(o.size))}
        return frozenset(missed | self._mixed)


Group = tuple[Block, ...]
Number = tuple[str, int]
"""An operand, and a place in its row."""


def targets(group: Group) -> list[Target]:
    """All that a group writes, each piece once."""
    return list(dict.fromkeys(target for block in group for target in additions(block)))


def additions(block: Block) -> list[Target]:
    """What a block writes, as often as it does."""
    targets = dict.fromkeys((use.target, use.operand(use.target)) for use in block.uses)
    return [target_of(block, role, operand, s) for role, operand in targets for s in range(block.loops)]


def target_of(block: Block, role: str, operand: str, s: int) -> Target:
    """What a block writes in a role, for copy s of b."""
    place = block.place(role)
    return Target(operand, place.start + s * place.loop, place.lane, block.lanes if place.lane else 1, place.size)


def passes(schedule: Schedule, budget: int) -> list[list[Group]]:
    """Groups in few kernels, each within the budget, none with two places that overlap and are not the same."""
    found: list[tuple[list[Group], dict[Number, Target]]] = []
    for group in (g for whole in schedule.groups for g in _separable(whole, budget)):
        for groups, taken in found:
            if _fits(taken, group) and sum(map(_work, (*groups, group))) <= budget:
                groups.append(group)
                taken.update(_owned(group))
                break
        else:
            found.append(([group], _owned(group)))
    return [groups for groups, _ in found]


def _work(group: Group) -> int:
    return sum(len(block.pairs) * len(block.uses) * block.loops for block in group)


def _separable(group: Group, budget: int) -> Iterator[Group]:
    """The blocks of a group in few groups of which that is true."""
    rest = list(group)
    while rest:
        taken: dict[Number, Target] = {}
        kept = []
        for block in rest:
            if _fits(taken, (block,)) and (not kept or _work((*kept, block)) <= budget):
                taken.update(_owned((block,)))
                kept.append(block)
        yield tuple(kept)
        rest = [block for block in rest if block not in kept]


def _owned(group: Group) -> dict[Number, Target]:
    return {(target.operand, n): target for target in targets(group) for n in target.numbers}


def _fits(taken: dict[Number, Target], group: Group) -> bool:
    return all(taken.get(number, target) == target for number, target in _owned(group).items())


def parts(groups: list[Group]) -> Iterator[list[Group]]:
    """Groups that write to the same piece stay together; sums over lanes keep all of a kernel together."""
    rest = list(groups)
    while rest:
        part, places = [rest.pop(0)], set()
        places |= set(targets(part[0]))
        joined = True
        while joined:
            joined = False
            for group in list(rest):
                if places & set(targets(group)):
                    rest.remove(group)
                    part.append(group)
                    places |= set(targets(group))
                    joined = True
        yield part
