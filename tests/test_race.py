"""The race: interleaved, fair to the incumbent, undisturbed by drift."""

import time

import numpy as np
import pytest

from tpregistry.tune.race import MAX_ROUNDS, decided, interval, race, sample, winner


def noisy(generator: np.random.Generator, cost: float, rounds: int, noise: float = 0.015) -> list[float]:
    samples = cost * (1 + noise * generator.standard_normal(rounds))
    samples[generator.random(rounds) < 0.03] *= 3  # outliers
    return samples.tolist()


def test_a_tie_goes_to_the_incumbent_and_a_real_winner_wins() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        samples = {"host": noisy(generator, 100, 40), "same": noisy(generator, 99.5, 40)}
        assert winner(samples, "host") == "host"
        samples["fast"] = noisy(generator, 80, 40)
        assert winner(samples, "host") == "fast"


def test_a_gain_within_the_margin_is_left_alone() -> None:
    generator = np.random.default_rng(5)
    assert winner({"host": noisy(generator, 100, 40), "a": noisy(generator, 94, 40)}, "host") == "host"


def test_ties_between_challengers_go_to_the_first_name() -> None:
    generator = np.random.default_rng(1)
    costs = {"host": 200.0, "a": 100.3, "b": 100.0}
    draws = ({name: noisy(generator, cost, 40) for name, cost in costs.items()} for _ in range(20))
    assert {winner(samples, "host") for samples in draws} == {"a"}


def test_never_slower_than_the_host() -> None:
    generator = np.random.default_rng(2)
    for _ in range(50):
        costs = {"host": 100.0, "a": generator.uniform(90, 200), "b": generator.uniform(90, 200)}
        best = winner({name: noisy(generator, cost, 20) for name, cost in costs.items()}, "host")
        assert costs[best] <= 100.0


def test_drift_does_not_decide() -> None:
    """Clocks that slow down by half during the race change all contestants alike."""
    generator = np.random.default_rng(3)
    drift = np.linspace(1, 1.5, 40)
    samples = {"host": (noisy(generator, 100, 40) * drift).tolist(), "fast": (noisy(generator, 80, 40) * drift).tolist()}
    assert winner(samples, "host") == "fast"
    low, high = interval(samples["fast"], samples["host"])
    assert 0.77 < low < high < 0.83


def test_decided_when_separated_or_tied_only() -> None:
    generator = np.random.default_rng(4)
    assert decided({"a": noisy(generator, 100, 40), "b": noisy(generator, 200, 40)})
    assert decided({"a": [100.0] * 10, "b": [100.1] * 10})
    assert not decided({"a": [100.0, 120, 90], "b": [99.0, 89, 118]})


def test_race_interleaves_and_stops_early() -> None:
    order: list[str] = []
    thunks = {"slow": lambda: (order.append("slow"), time.sleep(0.004)), "fast": lambda: (order.append("fast"), time.sleep(0.001))}
    samples = race(thunks, time.perf_counter() + 30)
    assert len(samples["slow"]) == len(samples["fast"]) < MAX_ROUNDS
    assert np.median(samples["slow"]) == pytest.approx(4000, rel=0.5)
    assert winner(samples, "slow") == "fast"


def test_the_deadline_leaves_three_rounds() -> None:
    samples = race({"a": lambda: time.sleep(0.002), "b": lambda: time.sleep(0.002)}, time.perf_counter() - 1)
    assert len(samples["a"]) == 3


def test_a_fixed_number_of_rounds_is_kept() -> None:
    samples = sample({"a": lambda: None, "b": lambda: time.sleep(0.002)}, 5)
    assert {name: len(values) for name, values in samples.items()} == {"a": 5, "b": 5}
