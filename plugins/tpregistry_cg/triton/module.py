"""Sources as modules: what Triton compiles it reads from the lines of a function."""

from __future__ import annotations

import hashlib
import linecache
import os
import sys
from types import ModuleType


def load(source: str) -> ModuleType:
    """The module of a source. Triton reads the lines of its functions, which `linecache` holds for it; it keeps binaries itself."""
    mode = "interpreted" if os.environ.get("TRITON_INTERPRET") == "1" else "compiled"
    name = f"tpregistry_cg_triton_{mode}_" + hashlib.sha256(source.encode()).hexdigest()[:24]
    if name not in sys.modules:
        module, path = ModuleType(name), f"<{name}>"
        module.__file__ = path
        linecache.cache[path] = len(source), None, source.splitlines(keepends=True), path
        sys.modules[name] = module
        exec(compile(source, path, "exec"), vars(module))
    return sys.modules[name]
