"""Clebsch-Gordan products written down from plans: backends of family ``cg``.

This module is the light face: kernels are imported when they are built.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from os import environ

from tpregistry.backend import Face, Kernel, Reason, Verdict
from tpregistry.problem import Problem
from tpregistry_cg.triton.form import Form


def _face(name: str, summary: str, *requires: str) -> Face:
    return Face(name=name, family="cg", summary=summary, frameworks=("torch", "jax"), requires=requires)


class _Portable:
    """Every tensor product: all modes, dtypes and orders of derivatives, on any device."""

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """Yes. XLA takes its time to compile one."""
        return Verdict(build_seconds=0.1 if framework == "torch" else round(0.5 + 0.1 * len(problem.paths), 2))


class CgDense(_Portable):
    """Outer product of x and y, then one dense matrix of coefficients for all outputs of a pair of irreps."""

    face = _face("cg-dense", "outer product, then a dense coefficient matrix (portable)")

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel made of the framework's differentiable functions."""
        from tpregistry_cg.dense import DenseKernel

        return DenseKernel(problem, device, framework)


class CgHoist(_Portable):
    """Coefficients are contracted with y first, once for all copies of x; what is left is a batched matrix product."""

    face = _face("cg-hoist", "y hoisted into matrices, then a batched product with x (portable)")

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel made of the framework's differentiable functions."""
        from tpregistry_cg.hoist import HoistKernel

        return HoistKernel(problem, device, framework)


def _compile_seconds(problem: Problem) -> float:
    """Grows with the entries of the hoisted matrices; derivatives are four fifths of it (benchmarks/builds.py)."""
    entries = sum((2 * problem.irreps_in1[p.i_in1].l + 1) * (2 * problem.irreps_out[p.i_out].l + 1) for p in problem.paths)
    return round(0.1 + entries * (0.003 if problem.derivatives else 0.0006), 2)


def _unread(problem: Problem) -> list[Reason]:
    from tpregistry.contraction import is_known  # numpy, which commands that only list do without

    hint = "load the model that they come from"
    return [] if is_known(problem) else [Reason("TP130", f"nobody has read the coefficients of {problem} here", hint)]


def _contraction_seconds(problem: Problem) -> float:
    """Grows faster than the monomials; those of a problem grow with its paths, roughly."""
    assert problem.powers is not None, "a symmetric contraction"
    paths = sum((2 * item.l + 1) * sum(counts) for item, counts in zip(problem.irreps_out, problem.powers.paths, strict=True))
    return round(0.1 + paths * (1 + paths / 1000) * (0.011 if problem.derivatives else 0.0003), 2)


class CgLlvm:
    """Compiled for the problem and this CPU: y hoisted into matrices, channels as vector lanes, all gradients in one sweep."""

    face = replace(
        _face("cg-llvm", "compiled for the problem by LLVM, all gradients in one sweep (CPU)", "llvmlite"),
        operations=("tensor_product", "tensor_product_conv", "symmetric_contraction"),
    )

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """float32 and float64 on a CPU; all modes; symmetric contractions in torch."""
        reasons = []
        if device != "cpu":
            reasons.append(Reason("TP120", f"cg-llvm runs on a CPU, not on {device}"))
        if problem.dtype not in ("float32", "float64"):
            reasons.append(Reason("TP121", f"cg-llvm computes in float32 and float64, not in {problem.dtype}"))
        if problem.contracts and framework != "torch":
            reasons.append(Reason("TP110", f"cg-llvm has symmetric contractions for torch, not for {framework}"))
        if not problem.contracts:
            return Verdict(tuple(reasons), _compile_seconds(problem))
        return Verdict((*reasons, *_unread(problem)), _contraction_seconds(problem))

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel with derivatives of its own; it is compiled when it is called, or in JAX when it is lowered."""
        if problem.contracts:
            from tpregistry_cg.contraction.kernel import build

            return build(problem)
        module = {"torch": "tpregistry_cg.llvm.product", "jax": "tpregistry_cg.llvm.xla"}[framework]
        return import_module(module).build(problem)


def _triton_seconds(problem: Problem) -> float:
    """Compilation takes longer the longer a kernel is; a double backward is some fifteen times a forward."""
    entries = sum((2 * problem.irreps_in1[p.i_in1].l + 1) * (2 * problem.irreps_out[p.i_out].l + 1) for p in problem.paths)
    return round(1.0 + entries * (0.06 if problem.derivatives else 0.006), 2)


class CgTriton:
    """Written in Triton for the problem: channels are lanes, y is hoisted, all gradients in one sweep, no atomics."""

    face = Face(
        name="cg-triton",
        family="cg",
        summary="written for the problem in Triton, all gradients in one sweep (NVIDIA and AMD GPUs)",
        frameworks=("torch",),
        operations=("tensor_product", "tensor_product_conv"),
        requires=("torch", "triton"),
    )
    form = Form()

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """All modes and dtypes on a GPU, up to 1024 copies; on a CPU only by Triton's interpreter, which is for tests."""
        reasons = []
        if device.split(":")[0] != "cuda" and environ.get("TRITON_INTERPRET") != "1":
            reasons.append(Reason("TP120", f"{self.face.name} runs on NVIDIA and AMD GPUs, not on {device}"))
        widest = max((rep.mul for rep in (*problem.irreps_in1, *problem.irreps_in2)), default=0)
        if widest > 1024:
            reasons.append(Reason("TP125", f"{self.face.name} has at most 1024 lanes, the problem {widest} copies"))
        return Verdict(tuple(reasons), _triton_seconds(problem) if device != "cpu" else 600.0)

    def build(self, problem: Problem, device: str, framework: str = "torch") -> Kernel:
        """A kernel with derivatives of its own, compiled when it is called."""
        from tpregistry_cg.triton.product import build

        return build(problem, device, self.form)


class CgTritonWarp(CgTriton):
    """The same with one warp a program: a thread has several channels, and computes once what they share."""

    face = replace(CgTriton.face, name="cg-triton-warp", summary="cg-triton with one warp a program")
    form = Form(warps=1, budget=100)


class CgTritonDirect(CgTriton):
    """The same with every component stored by itself: more writes, but nothing is exchanged between threads."""

    face = replace(CgTriton.face, name="cg-triton-direct", summary="cg-triton with every component stored by itself")
    form = Form(tiles=False)


class CgTritonAhead(CgTriton):
    """Convolutions with the operands of the next edge on their way while one is computed."""

    face = replace(
        CgTriton.face,
        name="cg-triton-ahead",
        summary="cg-triton's convolution with the next edge's operands read ahead",
        operations=("tensor_product_conv",),
    )
    form = Form(budget=200, stages=2)

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """As `CgTriton`; a copy for every number takes three times as long to compile."""
        verdict = super().supports(problem, device, framework)
        return replace(verdict, build_seconds=3 * verdict.build_seconds)


class CgTritonAtomic(CgTriton):
    """Convolutions edge by edge in their own order: one sweep for all gradients, which are added to nodes atomically."""

    face = replace(
        CgTriton.face,
        name="cg-triton-atomic",
        summary="cg-triton's convolution edge by edge, added to nodes atomically (not repeatable)",
        operations=("tensor_product_conv",),
    )
    form = Form(atomic=True)

    def supports(self, problem: Problem, device: str, framework: str = "torch") -> Verdict:
        """float32 and float64, where channels are not mixed and nobody asks for repeatable results."""
        from tpregistry.plan.channelwise import channelwise

        verdict, reasons = super().supports(problem, device, framework), []
        if problem.deterministic:
            reasons.append(Reason("TP126", "cg-triton-atomic adds in no fixed order, and deterministic algorithms are asked for"))
        if problem.dtype not in ("float32", "float64"):
            reasons.append(Reason("TP121", f"cg-triton-atomic adds in float32 and float64, not in {problem.dtype}"))
        if not channelwise(problem).whole:
            reasons.append(Reason("TP123", "cg-triton-atomic does not mix channels in a convolution", "cg-triton does, unfused"))
        return replace(verdict, reasons=(*verdict.reasons, *reasons))
