"""The gate: a kernel against the float64 of the host, on the exact problem, with tolerances that the host itself sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tpregistry.backend import Kernel
from tpregistry.errors import HostRaised
from tpregistry.frame import Array, Frame, Host, Observed
from tpregistry.gate.blocks import Blocks, largest_error, scales, worst_block
from tpregistry.gate.cases import ODD, Case, cases, filled, fitting_batch, turn_vector
from tpregistry.gate.listening import listening
from tpregistry.problem import Problem
from tpregistry.so3 import irreps_matrix

LARGE_BYTES = 2 * 2**30
"""A batch whose operands and derivatives fill this is large enough for the check of a full bucket."""

FLOORS = {"float64": 1e-12, "float32": 5e-6, "float16": 4e-3, "bfloat16": 2e-2}
"""Errors that no host is blamed for, as a fraction of a block's scale."""

MULTIPLES = {"out": 4.0, "d": 8.0, "dd": 16.0}
"""How many times the host's own error a kernel may err: output, gradients, second gradients."""


@dataclass(frozen=True)
class Check:
    """One comparison: largest error of any block, as a fraction of that block's scale, and what was allowed."""

    name: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the error is allowed; NaN is not."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Evidence:
    """Everything that the gate saw of one kernel."""

    checks: tuple[Check, ...]
    faults: tuple[str, ...] = ()
    bitwise_repeatable: bool = True

    @property
    def ok(self) -> bool:
        """Whether the kernel may be used."""
        return not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong, a calm line each."""
        wrong = (f"{c.name}: error {c.error:.1e} > {c.tolerance:.1e}" for c in self.checks if not c.ok)
        return (*self.faults, *wrong)

    def to_json(self) -> dict[str, list[float]]:
        """Error and tolerance of each check."""
        return {check.name: [float(check.error), float(check.tolerance)] for check in self.checks}


class Yardstick:
    """What the host gives on every case of a problem, and how far it is from its own float64: computed once."""

    def __init__(self, problem: Problem, host: Host, frame: Frame, device: str, seed: int = 0) -> None:
        self.problem, self.frame, self.device = problem, frame, device
        self.blocks = Blocks(problem)
        self._host, self._reference = host.kernel, host.reference()
        self.cases = cases(problem, seed, self._bucket_tiles())

    def _bucket_tiles(self) -> int:
        """Copies of the main case that make up the batch bucket, or as much of it as LARGE_BYTES hold."""
        room = min(self.frame.free_bytes(self.device), LARGE_BYTES)
        return max(1, fitting_batch(self.problem, self.problem.batch, room) // ODD)

    def observe(self, kernel: Kernel, case: Case, dtype: str | None = None) -> Observed:
        """A kernel on a case."""
        return self.frame.observe(kernel, case.operands, dtype or self.problem.dtype, self.device, case.order)

    @cached_property
    def expected(self) -> dict[str, dict[str, Array]]:
        """The float64 of the host for each case that is evaluated by it."""
        return {case.name: self._of_host(self._reference, case, "float64") for case in self._own_cases}

    @cached_property
    def scale(self) -> dict[str, dict[str, list[float]]]:
        """Scale of each block of each quantity, by case."""
        return {name: scales(self.blocks, values) for name, values in self.expected.items()}

    @cached_property
    def host_error(self) -> dict[str, dict[str, float]]:
        """How far the host at the problem's dtype is from its float64, by case and quantity."""
        return {case.name: self.errors(case, self._of_host(self._host, case)) for case in self._own_cases}

    def usage_faults(self, kernel: Kernel) -> list[str]:
        """What a kernel does wrong on the main case when it is called as programs call it."""
        main = self.cases[0]
        said = self.frame.usage_faults(kernel, main.operands, self.problem.dtype, self.device, main.order)
        return [f"{main.name}: {fault}" for fault in said]

    def _of_host(self, kernel: Kernel, case: Case, dtype: str | None = None) -> dict[str, Array]:
        """The host on a case, always at the batch of the main one: what it gives for a sample depends on no other."""
        whole = replace(case, operands=filled(self.problem, case.operands))
        try:
            values, count = self.observe(kernel, whole, dtype).values, len(case.operands.values["x"])
        except Exception as error:
            raise HostRaised(error) from error
        if whole.operands is case.operands:
            return values
        return {name: value if self._summed(name) else value[:count] for name, value in values.items()}

    @property
    def _own_cases(self) -> list[Case]:
        return [case for case in self.cases if case.name not in ("repeated", "strided", "bucket")]

    def errors(self, case: Case, values: dict[str, Array]) -> dict[str, float]:
        """Largest error of any block of each quantity, as a fraction of the block's scale."""
        return {name: largest_error(self.blocks, name, *self._compared(case, name, values)) for name in self.target(case)[1]}

    def blame(self, case: Case, quantity: str, values: dict[str, Array]) -> str:
        """The block with the largest error of a quantity."""
        return worst_block(self.blocks, quantity, *self._compared(case, quantity, values))

    def _compared(self, case: Case, quantity: str, values: dict[str, Array]) -> tuple[Array, Array, list[float]]:
        """What a kernel gave and what is expected, copy by copy of the main case, and the scales of the blocks."""
        like, expected = self.target(case)
        copies = case.tiles if self._summed(quantity) else 1
        return values[quantity] / copies, expected[quantity], self.scale[like][quantity]

    def target(self, case: Case) -> tuple[str, dict[str, Array]]:
        """The case whose scales apply, and what is expected; copies of the main case are expected to repeat it."""
        if case.name in ("one sample", "no sample"):
            return "main", self.expected[case.name]
        if case.name not in self.expected:
            main = self.expected["main"]
            repeat = {name: value if self._summed(name) else np.tile(value, (case.tiles, 1)) for name, value in main.items()}
            return "main", {name: value for name, value in repeat.items() if order_of(name) <= case.order}
        return case.name, self.expected[case.name]

    def tolerance(self, case: Case, quantity: str) -> float:
        """A multiple of the host's error on the case, with a floor by dtype; sums over a large batch err with its root."""
        host = self.host_error.get(case.name) or self.host_error["main"]
        multiple = MULTIPLES[quantity if quantity == "out" else quantity.rstrip("xywg")]
        grown = case.tiles**0.5 if self._summed(quantity) else 1.0
        return multiple * grown * max(host.get(quantity, 0.0), FLOORS[self.problem.dtype])

    def _summed(self, quantity: str) -> bool:
        return self.problem.shared_weights and quantity in ("dw", "ddw")


def verify(kernel: Kernel, yardstick: Yardstick) -> Evidence:
    """Check a kernel on every case; raises only what the kernel raises, with the case as a note. Stops at the first that fails."""
    checks: list[Check] = []
    faults: list[str] = []
    seen: dict[str, dict[str, Array]] = {}
    for case in yardstick.cases:
        with listening() as words:
            try:
                observed = yardstick.observe(kernel, case)
            except Exception as error:
                error.add_note(f"on {case.name!r}")
                raise
        faults += [f"{case.name}: {fault}" for fault in observed.faults]
        faults += [f"{case.name}: prints {''.join(words)[:40]!r} to stdout"] if words else []
        if faults:
            break
        seen[case.name] = observed.values
        errors = yardstick.errors(case, observed.values)
        checks += [_check(yardstick, case, quantity, error, observed.values) for quantity, error in errors.items()]
        if case.name in ("rotated", "inverted"):
            checks.append(_equivariance(yardstick, case, seen))
        if all(check.ok for check in checks) and case is yardstick.cases[0]:
            faults += yardstick.usage_faults(kernel)
        if faults or not all(check.ok for check in checks):
            break
    repeatable = all(np.array_equal(seen["main"][q], value) for q, value in seen.get("repeated", {}).items())
    if yardstick.problem.deterministic and not repeatable:
        faults.append("repeated: results differ bit by bit, but deterministic algorithms are asked for")
    return Evidence(tuple(checks), tuple(faults), repeatable)


def _check(yardstick: Yardstick, case: Case, quantity: str, error: float, values: dict[str, Array]) -> Check:
    """One that fails names the block (the path of a weight gradient, the irrep of another), and in which way it is wrong."""
    check = Check(f"{case.name} {quantity}", error, yardstick.tolerance(case, quantity))
    where = "" if check.ok else yardstick.blame(case, quantity, values)
    return replace(check, name=f"{check.name} ({where})") if where else check


def _equivariance(yardstick: Yardstick, case: Case, seen: dict[str, dict[str, Array]]) -> Check:
    """f(R x, R y, w) against R f(x, y, w), both of the kernel itself; the host's departure from it sets the tolerance."""
    inversion = case.name == "inverted"
    turn = irreps_matrix(yardstick.problem.irreps_out, turn_vector(inversion), inversion)
    scale = yardstick.scale["main"]["out"]

    def departure(turned: Array, straight: Array) -> float:
        return largest_error(yardstick.blocks, "out", turned, straight @ turn.T, scale)

    host = departure(yardstick.expected[case.name]["out"], yardstick.expected["main"]["out"])
    error = departure(seen[case.name]["out"], seen["main"]["out"])
    allowed = host + 2 * max(yardstick.tolerance(case, "out"), yardstick.tolerance(yardstick.cases[0], "out"))
    return Check(f"{case.name} equivariance", error, allowed)


def order_of(quantity: str) -> int:
    """Derivative order of a quantity: out 0, dx 1, ddx 2."""
    return 0 if quantity == "out" else len(quantity) - len(quantity.lstrip("d"))
