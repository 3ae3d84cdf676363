"""Importing the library, whose torch side refuses a torch without CUDA or HIP, and may compile an extension (for minutes)."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from tpregistry.backend import Reason

CURE = "install a torch built for your GPU, a C++ compiler and the NVRTC or HIPRTC libraries, or set TP_PLUGINS=!openequivariance"
CURE_JAX = "install openequivariance and openequivariance_extjax in one version, or set TP_PLUGINS=!openequivariance-jax"
NO_TORCH = "OEQ_NOTORCH"


def load() -> ModuleType:
    """`openequivariance` for torch. Raises RuntimeError with reason TP122 where it cannot be imported or has no extension."""
    library = _imported(CURE)
    if not getattr(library, "BUILT_EXTENSION", False):
        why = getattr(library, "BUILT_EXTENSION_ERROR", f"it was imported with {NO_TORCH}=1")
        raise RuntimeError(_unusable(f"openequivariance has no extension here: {why}", CURE))
    return library


def load_jax() -> ModuleType:
    """`openequivariance` with its ``jax``; without its torch side in programs that have not imported torch. Raises as `load`."""
    with _without_torch():
        library = _imported(CURE_JAX)
    if not isinstance(library.jax, ModuleType):
        raise RuntimeError(_unusable(f"openequivariance has no JAX here: {getattr(library, 'error', '')}", CURE_JAX))
    return library


@contextmanager
def _without_torch() -> Iterator[None]:
    if "torch" in sys.modules or NO_TORCH in os.environ:
        yield
        return
    os.environ[NO_TORCH] = "1"
    try:
        yield
    finally:
        del os.environ[NO_TORCH]


def _imported(cure: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_module("openequivariance")
        except Exception as error:  # an assertion, a compiler's or a linker's error
            raise RuntimeError(_unusable(f"importing openequivariance raised {type(error).__name__}: {error}", cure)) from error


def _unusable(why: str, cure: str) -> str:
    return str(Reason("TP122", why, cure))
