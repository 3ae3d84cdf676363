"""Importing the library, which refuses a torch without CUDA or HIP, and may compile an extension (for minutes)."""

from __future__ import annotations

import warnings
from importlib import import_module
from types import ModuleType

from tpregistry.backend import Reason

CURE = "install a torch built for your GPU, a C++ compiler and the NVRTC or HIPRTC libraries, or set TP_PLUGINS=!openequivariance"


def load() -> ModuleType:
    """`openequivariance`. Raises RuntimeError with reason TP122 where it cannot be imported or has no extension."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            library = import_module("openequivariance")
        except Exception as error:  # an assertion, a compiler's or a linker's error
            raise RuntimeError(_unusable(f"importing openequivariance raised {type(error).__name__}: {error}")) from error
    if not library.BUILT_EXTENSION:
        raise RuntimeError(_unusable(f"openequivariance has no extension here: {library.BUILT_EXTENSION_ERROR}"))
    return library


def _unusable(why: str) -> str:
    return str(Reason("TP122", why, CURE))
