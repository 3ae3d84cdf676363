"""Who takes part in a measurement: e3nn's own code in both of its modes, and every backend that passes the gate."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any

import e3nn

from tpregistry import discovery
from tpregistry.building import build
from tpregistry.frame import frame
from tpregistry.gate import Yardstick, verify
from tpregistry.gate.cases import draw
from tpregistry.problem import Problem
from tpregistry.settings import current
from tpregistry.verdicts import verdict_of
from tpregistry_e3nn.adapter import Adapter

HOSTS = ("e3nn script", "e3nn eager")
FRAME = frame("torch")


@dataclass
class Contest:
    """Kernels by name; seconds that building and the first force pattern took; why others do not take part."""

    kernels: dict[str, Any]
    build_seconds: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def admit(self, name: str, kernel: Any, yardstick: Yardstick) -> None:
        """A kernel, if it passes the gate."""
        start = time.perf_counter()
        FRAME.thunk(kernel, draw(yardstick.problem, 1, 0), yardstick.problem.dtype, yardstick.device, 2)()
        self.build_seconds[name] = time.perf_counter() - start
        evidence = verify(kernel, yardstick)
        if evidence.ok:
            self.kernels[name] = kernel
        else:
            self.leave_out(name, f"fails the gate: {evidence.failures}", yardstick.problem)

    def leave_out(self, name: str, why: str, problem: Problem) -> None:
        """Say so, and go on with the others."""
        self.left_out[name] = why
        print(f"{name} on {problem}: {why}", file=sys.stderr, flush=True)


def host_modules(problem: Problem, device: str) -> dict[str, Any]:
    """e3nn's own code in both of its modes."""
    before, found = e3nn.get_optimization_defaults()["jit_mode"], {}
    for name, mode in zip(HOSTS, ("script", "eager"), strict=True):
        e3nn.set_optimization_defaults(jit_mode=mode)
        try:
            found[name] = Adapter().host(problem, device)
        finally:
            e3nn.set_optimization_defaults(jit_mode=before)
    return found


def contest(problem: Problem, device: str, without: list[str]) -> Contest:
    """e3nn's code, and every backend that can do the problem; a peer that raises does not end the measurement."""
    hosts = host_modules(problem, device)
    found, yardstick = (
        Contest({name: host.kernel for name, host in hosts.items()}),
        Yardstick(problem, hosts[HOSTS[0]], FRAME, device),
    )
    for name, plugin in discovery.backends(current()).items():
        backend = plugin.backend
        if backend is None or plugin.face.host or name in without:
            continue
        if not verdict_of(backend, problem, "torch", device, "e3nn").ok:
            continue
        try:
            found.admit(name, build(backend, problem, device, "torch"), yardstick)
        except Exception as error:  # a plugin may raise anything
            found.leave_out(name, f"{type(error).__name__}: {error}", problem)
    return found
