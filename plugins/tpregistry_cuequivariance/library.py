"""Importing the library: quietly, and with its compiled GPU code kept beside ours."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType

from tpregistry.backend import Reason
from tpregistry.store import open_code

CACHE = "CUEQUIVARIANCE_OPS_NVRTC_CACHE_DIR"
CURE = "reinstall cuequivariance, its frontend and its operations (-torch and -ops-torch, or -jax and -ops-jax) in one version"


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings: what the library warns of, running a slower method, is what a kernel's engine tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _keep_code(device: str) -> None:
    """Where the folder cannot be made, or others can write to it, code is compiled anew in each process."""
    folder = open_code("cuequivariance").private(make=False)
    if folder is not None and os.environ.setdefault(CACHE, str(folder)) == str(folder) and device != "cpu":
        with suppress(OSError):
            open_code("cuequivariance").private()


def load(device: str, frontend: str = "cuequivariance_torch") -> tuple[ModuleType, ModuleType]:
    """`cuequivariance` and a frontend of it. Raises RuntimeError with reason TP122 where they cannot be imported."""
    _keep_code(device)
    with quiet():
        try:
            return import_module("cuequivariance"), import_module(frontend)
        except Exception as error:  # a missing symbol, a version that does not fit
            why = f"importing cuequivariance raised {type(error).__name__}: {error}"
            raise RuntimeError(str(Reason("TP122", why, CURE))) from error
