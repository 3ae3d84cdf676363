"""What kernels need of a GPU, found without one: compiled ahead of time, then read from the binary."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tpregistry.plan.orders import ORDER
from tpregistry_cg.triton.kernel import TritonPlan, warps

_POINTERS = {torch.float32: "*fp32", torch.float64: "*fp64", torch.float16: "*fp16", torch.bfloat16: "*bf16"}


@dataclass(frozen=True)
class Resources:
    """Of one kernel on one architecture (80, 90): registers of a thread, bytes that it spills, seconds of compilation."""

    name: str
    architecture: int
    registers: int
    spilled: int
    seconds: float


def resources(plan: TritonPlan, architecture: int = 90) -> list[Resources]:
    """Of every kernel of a plan. Raises RuntimeError where the tools that come with Triton cannot read a binary."""
    return [_of(sweep, number, architecture) for sweep in plan.sweeps for number in range(len(sweep.emitted.passes))]


def _of(plan: TritonPlan, number: int, architecture: int) -> Resources:
    one = plan.emitted.passes[number]
    count = len(plan.plan.inputs + plan.plan.outputs)
    signature = {name: kind for n in range(count) for name, kind in ((f"p{n}", _POINTERS[plan.dtype]), (f"s{n}", "i32"))}
    signature |= dict.fromkeys(ORDER, "*i64") if plan.owner else {}
    signature |= {"count": "i32", "rows": "i32", "SAMPLES": "constexpr"}
    source = ASTSource(getattr(plan.module, one.name), signature, {"SAMPLES": one.samples})
    start = time.perf_counter()
    compiled = triton.compile(
        source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": warps(one), "enable_fp_fusion": True}
    )
    seconds = time.perf_counter() - start
    registers, stack, local = _usage(compiled.asm["cubin"])
    return Resources(one.name, architecture, registers, stack + local, seconds)


def _usage(binary: bytes) -> tuple[int, int, int]:
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        told = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=False)
    found = [re.search(rf"{name}:(\d+)", told.stdout) for name in ("REG", "STACK", "LOCAL")]
    if not all(found):
        raise RuntimeError(f"cuobjdump does not tell: {told.stdout}{told.stderr}")
    registers, stack, local = (int(match[1]) for match in found if match)
    return registers, stack, local
