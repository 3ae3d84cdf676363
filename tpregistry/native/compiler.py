"""LLVM IR to machine code for this CPU, kept on disk as object code, loaded once per process."""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from tpregistry.store import Code


@dataclass(frozen=True)
class Functions:
    """``run(operands, begin, end, scratch)`` and the address of ``share(job)``, see `emitter`.

    ``run`` releases the interpreter's lock. ``engine`` owns the code.
    """

    run: Callable[[int, int, int, int], None]
    share: int
    engine: Any


_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
_lock = threading.Lock()
_loaded: dict[str, Functions] = {}


@cache
def vector_bytes() -> int:
    """Width of this CPU's vectors."""
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


def load(source: str, kept: Code | None = None) -> Functions:
    """The compiled functions of a module: from this process, from those kept, or compiled now and kept."""
    key = hashlib.sha256("\n".join([*_machine(), source]).encode()).hexdigest() + ".o"
    with _lock:
        if key not in _loaded:
            code = kept.get(key) if kept else None
            if code is None:
                code = _compile(source)
                if kept:
                    kept.put(key, code)
            _loaded[key] = _link(code)
        return _loaded[key]


@cache
def _machine() -> tuple[str, str, str, str]:
    """What machine code depends on besides its source."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    version = ".".join(map(str, llvm.llvm_version_info))
    return (
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
        f"{llvmlite.__version__} {version}",
    )


def _target() -> Any:
    triple, cpu, features, _ = _machine()
    return llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=3, reloc="pic", codemodel="small")


def _compile(source: str) -> bytes:
    module = llvm.parse_assembly(source)
    module.triple = _machine()[0]
    module.verify()
    return _target().emit_object(module)


def _link(code: bytes) -> Functions:
    """Code and constants in one block (`use_lmm`): more than 2 GiB apart, as happens in a full address space, LLVM aborts."""
    _machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target(), use_lmm=True)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Functions(_SIGNATURE(engine.get_function_address("run")), engine.get_function_address("share"), engine)


def _renew() -> None:
    """A fork while another thread compiles leaves the child a lock that nobody will open."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
