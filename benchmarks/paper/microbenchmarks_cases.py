"""The cases of the microbenchmarks: a problem for each product of a setting, and who computes it."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import e3nn_jax
import numpy as np
from tpregistry_gaunt import GtpFourier, GtpGrid, GtpLlvm, GtpSeparable, GtpSeparableFft, Mtp
from tpregistry_gaunt.stages import rings

from tpregistry import products
from tpregistry.backend import Kernel
from tpregistry.building import build
from tpregistry.frame import frame
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.gate import Evidence, Yardstick, verify
from tpregistry.hosts import host_for
from tpregistry.irreps import Irreps
from tpregistry.problem import Mode, Problem
from tpregistry.so3.grids import half, product_degree
from tpregistry.verdicts import verdict_of
from tpregistry_cg import CgDense, CgLlvm

LONGEST = 20.0
"""Seconds of preparation beyond which a backend is left out, by its own estimate."""

COMPOSED = "e3nn-jax, as published"
BACKENDS: dict[str, dict[str, tuple[Any, str]]] = {
    "Clebsch-Gordan": {"cg-llvm": (CgLlvm(), "torch"), "cg-dense": (CgDense(), "torch")},
    "Gaunt": {
        "gtp-grid": (GtpGrid(), "torch"),
        "gtp-grid, JAX": (GtpGrid(), "jax"),
        "gtp-separable": (GtpSeparable(), "torch"),
        "gtp-separable-fft": (GtpSeparableFft(), "torch"),
        "gtp-llvm": (GtpLlvm(), "torch"),
        "gtp-llvm, JAX": (GtpLlvm(), "jax"),
        "gtp-fourier": (GtpFourier(), "torch"),
        "cg-llvm": (CgLlvm(), "torch"),
    },
    "curl": {"gtp-grid": (GtpGrid(), "torch"), "gtp-llvm": (GtpLlvm(), "torch"), "cg-llvm": (CgLlvm(), "torch")},
    "matrix": {"mtp": (Mtp(), "torch"), "cg-llvm": (CgLlvm(), "torch")},
    "vector signal": {"gtp-grid": (GtpGrid(), "torch"), "gtp-llvm": (GtpLlvm(), "torch"), "cg-llvm": (CgLlvm(), "torch")},
}


class Composed:
    """To the grid, product, back: e3nn-jax's functions as the paper's code composes them; sqrt(4 pi) times the product."""

    engine = "XLA"

    def __init__(self, problem: Problem, degree: int) -> None:
        self._irreps = [e3nn_jax.Irreps(str(rep)) for rep in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out)]
        self._points = {"res_beta": 2 * degree + 1, "res_alpha": 4 * degree + 2, "quadrature": "gausslegendre", "fft": False}

    def __call__(self, x: Any, y: Any, w: Any) -> Any:
        """See `tpregistry.backend.Kernel`."""
        make: Any = e3nn_jax.IrrepsArray
        signals = (make(rep, operand) for rep, operand in zip(self._irreps, (x, y), strict=False))
        f, g = (e3nn_jax.to_s2grid(signal, **self._points, p_val=1, p_arg=-1) for signal in signals)
        found = e3nn_jax.from_s2grid(f * g, self._irreps[2], fft=False)
        return found.array / np.float32(np.sqrt(4 * np.pi))


def signals(first: int, last: int, pseudo: bool = False) -> Irreps:
    """One irrep of each degree, of natural parity or of the other."""
    return Irreps.parse("+".join(f"{l}{'eo'[(l + pseudo) % 2]}" for l in range(first, last + 1)))


def problems(setting: str, degree: int) -> dict[str, Problem]:
    """Each product that does anything in a setting. Raises ValueError where parity leaves the setting without a path.

    Outputs are natural, as the paper's; those of the curl are not: natural signals have no other.
    """
    first, last = {"SISO": (degree, degree), "SIMO": (degree, 2 * degree), "MIMO": (0, 2 * degree)}[setting]
    lowest = degree if setting == "SISO" else 0
    signal, out, pseudo = signals(first, degree), signals(lowest, last), signals(lowest, last, pseudo=True)
    fields = [products.vector_fields(rep) for rep in (signal, signal, out)]
    found = {
        "Gaunt": products.gaunt(signal, signal, out, "integral"),
        "curl": products.curl(signal, signal, pseudo, "integral"),
        "matrix": products.matrix_product(signal, signal, out, "integral"),
        "vector signal": products.vector_signal(fields[0], fields[1], fields[2], "integral"),
    }
    if not found["Gaunt"].paths:
        raise ValueError(f"{setting} at degree {degree}: no path leads from {signal} x {signal} to {out}, parity forbids it")
    whole = problem_from_irreps(str(signal), str(signal), str(out), Mode.UUU, shared_weights=True, dtype="float32")
    return {"Clebsch-Gordan": whole, **{name: problem for name, problem in found.items() if problem.paths}}


def contestants(product: str, problem: Problem, degree: int, without: set[str]) -> dict[str, tuple[Kernel, str]]:
    """Kernels that pass the gate, each with its framework; those that do not are told and left out."""
    found: dict[str, tuple[Kernel, str]] = {}
    for name, (backend, framework) in BACKENDS[product].items():
        if name not in without and _in_time(name, backend, problem, framework):
            kernel = _gated(name, backend, problem, framework)
            found |= {name: (kernel, framework)} if kernel else {}
    if product == "Gaunt" and COMPOSED not in without:
        found[COMPOSED] = Composed(problem, degree), "jax"
    return found


def _in_time(name: str, backend: Any, problem: Problem, framework: str) -> bool:
    seconds = verdict_of(backend, problem, framework, "cpu", "").build_seconds
    if seconds > LONGEST:
        print(f"  {name}: not built, by its own estimate {seconds:.0f} s", file=sys.stderr)
    return seconds <= LONGEST


def _gated(name: str, backend: Any, problem: Problem, framework: str) -> Kernel | None:
    kernel = build(backend, problem, "cpu", framework)
    evidence = frame(framework).isolated(partial(_evidence, kernel, problem.at(batch=64), framework))
    if not evidence.ok:
        print(f"  {name} fails the gate and is left out on {problem}: {evidence.failures}", file=sys.stderr)
    return kernel if evidence.ok else None


def _evidence(kernel: Kernel, problem: Problem, framework: str) -> Evidence:
    return verify(kernel, Yardstick(problem, host_for(problem, framework, "cpu"), frame(framework), "cpu"))


def points(name: str, problem: Problem, degree: int) -> int:
    """Of the sphere at which functions are multiplied; 0 where there are none."""
    if name == COMPOSED:
        return (2 * degree + 1) * (4 * degree + 2)
    if problem.operation not in ("gaunt", "curl") or not name.startswith(("gtp-grid", "gtp-llvm", "gtp-separable")):
        return 0
    highest = [max(item.l for item in rep) for rep in (problem.irreps_in1, problem.irreps_in2, problem.irreps_out)]
    exact = product_degree(*highest, curl=problem.operation == "curl")
    return len(rings(exact, max(highest)) if name.startswith("gtp-separable") else half("lebedev", exact))
