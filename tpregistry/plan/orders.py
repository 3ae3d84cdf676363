"""Whose turn it is in a sweep over a graph: the nodes at one end of the edges, which own what is summed there."""

from __future__ import annotations

from tpregistry.plan import Plan

ORDER = ("first", "edges", "other")
"""Names of the arrays that describe the edges of each owner: where they begin, the edges, and the nodes at their other ends."""


def owner(plan: Plan) -> str:
    """The site whose nodes a sweep goes through: that of the outputs, which may have one at most. Empty without a graph."""
    sites = {operand.site for operand in plan.outputs if operand.site}
    assert len(sites) < 2, "outputs at both ends of an edge take two sweeps"
    return sites.pop() if sites else "sender" if any(operand.site for operand in plan.inputs) else ""


def sweeps(plan: Plan) -> list[Plan]:
    """The plan; or where outputs are summed at both ends of the edges, the plan of those at receivers and that of all others."""
    at_receivers = tuple(operand.site == "receiver" for operand in plan.outputs)
    if not any(at_receivers) or not any(operand.site == "sender" for operand in plan.outputs):
        return [plan]
    given = (True,) * len(plan.inputs)
    return [plan.part(given, at_receivers), plan.part(given, tuple(not here for here in at_receivers))]
