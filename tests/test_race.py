"""The race: interleaved, fair to the incumbent, undisturbed by drift."""

import time

import numpy as np
import pytest

from tpregistry.tune.race import MAX_ROUNDS, MIN_ROUNDS, decided, interval, race, sample, winner


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
    assert decided({"a": noisy(generator, 100, 40), "b": noisy(generator, 200, 40)}, "a")
    assert decided({"a": [100.0] * 10, "b": [100.1] * 10}, "a")
    assert not decided({"host": [300.0] * 3, "a": [100.0, 120, 90], "b": [99.0, 89, 118]}, "host")


def test_against_the_incumbent_the_margin_decides() -> None:
    assert not decided({"host": [105.0] * 3 + [600.0] * 4, "a": [100.0] * 7}, "host"), "faster for sure, but not by the margin"
    assert decided({"host": [105.0] * 4 + [108.0] * 3, "a": [100.0] * 7}, "host"), "never by the margin"
    assert decided({"host": [100.0] * 7, "a": [95.0] * 3 + [120.0] * 4}, "host"), "the incumbent leads"


def test_a_disturbed_machine_loses_no_factor_of_four() -> None:
    """Three samples in ten take up to five times as long, and the race stops as soon as it says that it is decided."""
    generator = np.random.default_rng(1)

    def disturbed(cost: float) -> float:
        return cost * (1 + 0.03 * generator.random()) * (1 + (generator.random() < 0.3) * generator.uniform(1, 4))

    def run() -> str:
        samples: dict[str, list[float]] = {"host": [], "fast": []}
        for rounds in range(1, MAX_ROUNDS + 1):
            for name, cost in (("host", 400.0), ("fast", 100.0)):
                samples[name].append(disturbed(cost))
            if rounds >= MIN_ROUNDS and rounds % 4 == 3 and decided(samples, "host"):
                break
        return winner(samples, "host")

    assert {run() for _ in range(200)} == {"fast"}


def test_race_interleaves_and_stops_early() -> None:
    order: list[str] = []
    thunks = {"slow": lambda: (order.append("slow"), time.sleep(0.004)), "fast": lambda: (order.append("fast"), time.sleep(0.001))}
    samples = race(thunks, time.perf_counter() + 30, "slow")
    assert len(samples["slow"]) == len(samples["fast"]) < MAX_ROUNDS
    assert np.median(samples["slow"]) == pytest.approx(4000, rel=0.5)
    assert winner(samples, "slow") == "fast"


def test_the_deadline_leaves_three_rounds() -> None:
    samples = race({"a": lambda: time.sleep(0.002), "b": lambda: time.sleep(0.002)}, time.perf_counter() - 1, "a")
    assert len(samples["a"]) == 3


def test_a_fixed_number_of_rounds_is_kept() -> None:
    samples = sample({"a": lambda: None, "b": lambda: time.sleep(0.002)}, 5)
    assert {name: len(values) for name, values in samples.items()} == {"a": 5, "b": 5}
