"""tpregistry: the fastest checked tensor product for every E(3)-equivariant program.

Everything here is imported on first use: a program that only has TP_BACKEND set pays for a finder, nothing more.
"""

import os

__version__ = "0.1.0"
started_in = os.getpid()
"""The process that imported us: in a fork of it, the threads of OpenMP are gone."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tpregistry.api import autotune as autotune
    from tpregistry.api import decisions as decisions
    from tpregistry.api import explain as explain
    from tpregistry.api import patch as patch
    from tpregistry.api import unpatch as unpatch
    from tpregistry.backend import Backend as Backend
    from tpregistry.backend import Face as Face
    from tpregistry.backend import Kernel as Kernel
    from tpregistry.backend import Reason as Reason
    from tpregistry.backend import Verdict as Verdict
    from tpregistry.irreps import Irreps as Irreps
    from tpregistry.problem import Path as Path
    from tpregistry.problem import Problem as Problem
    from tpregistry.settings import use as use

_HOMES = {
    **dict.fromkeys(("autotune", "decisions", "explain", "patch", "unpatch"), "tpregistry.api"),
    **dict.fromkeys(("Backend", "Face", "Kernel", "Reason", "Verdict"), "tpregistry.backend"),
    **dict.fromkeys(("Path", "Problem"), "tpregistry.problem"),
    "Irreps": "tpregistry.irreps",
    "use": "tpregistry.settings",
}
__all__ = ["Backend", "Face", "Irreps", "Kernel", "Path", "Problem", "Reason", "Verdict", "autotune", "decisions", "explain"]
__all__ += ["patch", "unpatch", "use"]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'tpregistry' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
