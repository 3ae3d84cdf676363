"""Who wins where one race does not tell all."""

import math
import re
import time
from typing import cast

import pytest

from tpregistry.frame import Frame, Host
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.problem import Mode
from tpregistry.tune.tuner import Bench, best_of


class Slow:
    """A kernel that takes so many milliseconds for each order of derivatives."""

    engine = "sleep"

    def __init__(self, *milliseconds: float) -> None:
        self.milliseconds = milliseconds

    def __call__(self, x, y, w):
        raise NotImplementedError


class Sleeping:
    """What `best_of` asks of a frame in which gradients come unannounced."""

    def other_orders(self, asked: int) -> tuple[int, ...]:
        return (0,)

    def thunk(self, kernel, operands, dtype, device, order):
        return lambda: time.sleep(1e-3 * kernel.milliseconds[order])


@pytest.mark.parametrize(("names", "best"), [("turncoat steady", "steady"), ("turncoat", "host"), ("steady", "steady")])
def test_what_wins_with_gradients_must_not_lose_without_them(names: str, best: str) -> None:
    kernels = {"host": Slow(4, 8), "turncoat": Slow(12, 1), "steady": Slow(1, 3)}
    running = {name: kernels[name] for name in ("host", *names.split())}
    samples = {name: [1e3 * kernel.milliseconds[1]] * 7 for name, kernel in running.items()}
    problem = problem_from_irreps("2x0e", "0e", "2x0e", Mode.UVU, shared_weights=False, dtype="float32").at(derivatives=1)
    bench = Bench(problem, Host("host", kernels["host"], lambda: kernels["host"]), cast(Frame, Sleeping()), "cpu", math.inf, 4)
    found, slower = best_of(bench, running, samples, 4)
    assert found == best
    assert [name for name, reasons in slower.items() if reasons] == (["turncoat"] if "turncoat" in names else [])
    assert all(re.match(r"TP171 0\.[34]\d times the host", reason) for reasons in slower.values() for reason in reasons)
