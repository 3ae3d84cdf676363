"""What kernels need of a GPU, found without one: compiled ahead of time, then read from the binary."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tpregistry_cg.triton.emitter import graph_arrays
from tpregistry_cg.triton.kernel import TritonPlan, options

_POINTERS = {torch.float32: "*fp32", torch.float64: "*fp64", torch.float16: "*fp16", torch.bfloat16: "*bf16"}


ARCHITECTURES = "sm_80", "sm_90", "gfx90a", "gfx942"
"""NVIDIA's A100 and H100, AMD's MI200 and MI300."""


@dataclass(frozen=True)
class Resources:
    """Of one kernel on one architecture: registers of a thread, bytes that it keeps in memory, processor seconds of compilation,
    and whether it spilled before it was given all registers that there are."""

    name: str
    architecture: str
    registers: int
    spilled: int
    seconds: float
    roomy: bool


def resources(plan: TritonPlan, architecture: str = "sm_90") -> list[Resources]:
    """Of every kernel of a plan. Raises RuntimeError where the tools that come with Triton cannot read a binary."""
    return [_of(sweep, number, architecture) for sweep in plan.sweeps for number in range(len(sweep.emitted.passes))]


def compiled(plan: TritonPlan, number: int, architecture: str, roomy: bool = False) -> Any:
    """A kernel of one sweep as Triton compiles it for the architecture: ``asm`` holds every stage to "cubin" or "amdgcn".

    ``roomy``: with all registers that a thread can have, as a plan launches it once it has seen it spill.
    """
    one = plan.emitted.passes[number]
    stored = [plan.dtype] * len(plan.plan.inputs) + [plan.stored(operand.name) for operand in plan.plan.outputs]
    signature = {name: kind for n, dtype in enumerate(stored) for name, kind in ((f"p{n}", _POINTERS[dtype]), (f"s{n}", "i32"))}
    signature |= dict.fromkeys(graph_arrays(plan.plan, plan.form), "*i64") | {"count": "i32", "rows": "i32"}
    source = ASTSource(getattr(plan.module, one.name), signature)
    return triton.compile(source, target=_target(architecture), options=options(one, plan.form, roomy))


def _target(architecture: str) -> GPUTarget:
    cuda = architecture.startswith("sm_")
    return GPUTarget("cuda", int(architecture[3:]), 32) if cuda else GPUTarget("hip", architecture, 64)


def _of(plan: TritonPlan, number: int, architecture: str, roomy: bool = False) -> Resources:
    start = _processor_seconds()
    asm = compiled(plan, number, architecture, roomy).asm
    seconds = _processor_seconds() - start
    registers, spilled = _in_binary(asm["cubin"]) if "cubin" in asm else _in_text(asm["amdgcn"])
    if spilled and not roomy and "cubin" in asm:
        return _of(plan, number, architecture, roomy=True)
    return Resources(plan.emitted.passes[number].name, architecture, registers, spilled, seconds, roomy)


def _processor_seconds() -> float:
    """Of this process and of the assemblers that it has run: what a busy machine does not change."""
    return sum(used.ru_utime + used.ru_stime for used in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def _in_text(assembly: str) -> tuple[int, int]:
    """AMD's assembly says it of itself."""
    registers, private = (re.search(rf"\.{name}:\s+(\d+)", assembly) for name in ("vgpr_count", "private_segment_fixed_size"))
    if not registers or not private:
        raise RuntimeError(f"the assembly does not tell: {assembly[-2000:]}")
    return int(registers[1]), int(private[1])


def _in_binary(binary: bytes) -> tuple[int, int]:
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        told = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=False)
    found = [re.search(rf"{name}:(\d+)", told.stdout) for name in ("REG", "STACK", "LOCAL")]
    if not all(found):
        raise RuntimeError(f"cuobjdump does not tell: {told.stdout}{told.stderr}")
    registers, stack, local = (int(match[1]) for match in found if match)
    return registers, stack + local
