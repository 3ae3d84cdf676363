"""A machine to race on without a clock: what a contestant costs, drawn from a model of its noise, and the time that takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.test_problem import PROBLEM
from tpregistry.store import Entry, Outcome, Record
from tpregistry.tune.race import Samples, contest, winner
from tpregistry.tune.standing import left

HOST = "host"
Noise = Callable[[float], float]


def quiet(generator: np.random.Generator) -> Noise:
    return lambda cost: cost * (1 + 0.01 * abs(generator.standard_normal())) * (3 if generator.random() < 0.03 else 1)


def drifting(generator: np.random.Generator) -> Noise:
    """Clocks that slow down by half while it measures."""
    spent = [0.0]

    def noise(cost: float) -> float:
        spent[0] += cost
        return cost * (1 + 0.02 * generator.random()) * (1 + min(0.5, spent[0] / 1e7))

    return noise


def busy(generator: np.random.Generator) -> Noise:
    """Neighbours that come and go and take up to two thirds of the machine."""
    share = [1.0]

    def noise(cost: float) -> float:
        if generator.random() < 0.1:
            share[0] = generator.uniform(1, 3)
        return cost * share[0] * generator.lognormal(0, 0.12)

    return noise


def heavy_tailed(generator: np.random.Generator) -> Noise:
    return lambda cost: cost * (1 + 0.3 * generator.pareto(2))


def start(costs: dict[str, float], noise: Noise, known: Record | None, seed: int, seconds: float) -> Record:
    """One process that measures for so many seconds, adding to what is known."""
    spent = [0.0]

    def measure(name: str) -> float:
        took = noise(costs[name])
        spent[0] += took
        return took

    names = [HOST, *left(known, list(costs)), str(known.winner)] if known else list(costs)
    before: Samples = {entry.backend: list(entry.samples_us) for entry in known.entries} if known else {}
    samples = contest(measure, dict.fromkeys(names), HOST, lambda: spent[0] > 1e6 * seconds, seed, before)
    entries = tuple(Entry(name, Outcome.OK, samples_us=tuple(times)) for name, times in samples.items())
    starts = known.starts + 1 if known else 1
    return replace(known or Record(PROBLEM, {}, HOST, ()), entries=entries, winner=winner(samples, HOST), starts=starts)


def life(costs: dict[str, float], noise: Noise, seed: int) -> Record:
    """Of a problem: one start after the other until its record stands."""
    record = start(costs, noise, None, seed, 6.0)
    while left(record, list(costs)):
        record = start(costs, noise, record, seed + record.starts, 5.0)
    return record
