"""cg-triton compiled for GPUs that are not there: registers, spills, length of kernels; computed by tests/interpreted."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from tests.cg.test_convolution import convolution
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.plan import plan_tensor_product
from tpregistry.problem import Mode, Problem
from tpregistry.testing import real_problems, zoo
from tpregistry_cg import CgTriton, CgTritonAhead, CgTritonAtomic, CgTritonDirect, CgTritonWarp
from tpregistry_cg.triton.form import Form
from tpregistry_cg.triton.kernel import TritonPlan
from tpregistry_cg.triton.resources import compiled, resources

FORMS = (CgTriton(), CgTritonWarp(), CgTritonDirect(), CgTritonAhead(), CgTritonAtomic())


def test_it_is_for_gpus() -> None:
    problem = convolution(zoo("float32")["both parities"])
    for backend in FORMS:
        assert [reason.code for reason in backend.supports(problem, "cpu").reasons] == ["TP120"]
        assert backend.supports(problem, "cuda").ok
        assert len({backend.form for backend in FORMS}) == len({backend.face.name for backend in FORMS}) == len(FORMS)


@pytest.mark.parametrize(
    ("changes", "code"), [({"deterministic": True}, "TP126"), ({"dtype": "bfloat16"}, "TP121"), ({}, "")], ids=str
)
def test_atomic_sums_are_for_those_who_may_have_them(changes: dict, code: str) -> None:
    problem = convolution(zoo("float32")["both parities"]).at(**changes)
    assert [reason.code for reason in CgTritonAtomic().supports(problem, "cuda").reasons] == ([code] if code else [])
    assert CgTriton().supports(problem, "cuda").ok


def test_atomic_sums_do_not_mix_channels() -> None:
    problem = convolution(real_problems()["nequip self-connection"])
    assert [reason.code for reason in CgTritonAtomic().supports(problem, "cuda").reasons] == ["TP123"]


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "gfx942"])
@pytest.mark.parametrize("convolves", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_spills(dtype: str, architecture: str, convolves: bool) -> None:
    """The ten paths of a MACE, to second gradients; others by benchmarks/triton_resources.py."""
    problem = real_problems(dtype)["mace-mp-0 medium layer 2"]
    kernel = TritonPlan(plan_tensor_product(convolution(problem) if convolves else problem), getattr(torch, dtype))
    for _ in range(3):
        for found in resources(kernel, architecture):
            assert 0 < found.registers <= (255 if architecture.startswith("sm_") else 512)
            assert found.spilled == 0, found
        kernel = kernel.vjp()


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("form", [backend.form for backend in FORMS], ids=[backend.face.name for backend in FORMS])
@pytest.mark.parametrize("convolves", [False, True])
def test_every_form_compiles_without_spills(form: Form, convolves: bool) -> None:
    problem = zoo("float32")["both parities"]
    kernel = TritonPlan(plan_tensor_product(convolution(problem) if convolves else problem), torch.float32, form)
    for _ in range(3 if form.stages == 1 else 2):  # loops that read ahead compile slowly
        assert all(found.spilled == 0 for found in resources(kernel))
        kernel = kernel.vjp()


@pytest.mark.slow
@pytest.mark.parametrize("convolves", [False, True])
@pytest.mark.parametrize("form", [Form(), Form(atomic=True)], ids=["nodes", "atomic"])
@pytest.mark.parametrize("copies", [8, 128])
def test_rows_are_counted_in_64_bits(copies: int, form: Form, convolves: bool) -> None:
    """More than 2^31 numbers: every stride is widened before it is multiplied; 32 bits are for places within a row."""
    problem = problem_from_irreps(f"{copies}x0e+{copies}x1o", "0e+1o", None, Mode.UVU, shared_weights=False, dtype="float32")
    kernel = TritonPlan(plan_tensor_product(convolution(problem) if convolves else problem), torch.float32, form).vjp()
    for sweep in kernel.sweeps:
        text = compiled(sweep, 0, "sm_90").asm["ttir"]
        used = re.findall(r"(arith\.\w+) [^\n]*%s\d+\b[^\n]*: (.*?)(?: loc|$)", text, re.MULTILINE)
        assert used
        assert {(operation, kind.strip()) for operation, kind in used} == {("arith.extsi", "i32 to i64")}


def test_float32_is_ieee() -> None:
    """No TF32, no flushed denormals, no approximations; multiplications and additions are fused where they can be."""
    kernel = TritonPlan(plan_tensor_product(zoo("float32")["both parities"]), torch.float32).vjp()
    text = compiled(kernel, 0, "sm_90").asm["ptx"]
    assert not re.search(r"tf32|\.ftz|\.approx|mma", text)
    assert "fma.rn.f32" in text


def test_long_kernels_are_split() -> None:
    kernel = TritonPlan(plan_tensor_product(real_problems()["sevennet-l3i5 inner"]).vjp(), torch.float32)
    assert len(kernel.emitted.passes) > 1
    assert sum(len(b.pairs) * len(b.uses) for group in kernel.schedule.groups for b in group) > Form().budget


@pytest.mark.slow
@pytest.mark.processes
def test_gradients_that_lanes_share_are_summed_together() -> None:
    """Sixteen numbers of a y over 128 channels: by sixteen trees, 112 exchanges between threads and 31 barriers."""
    layer = real_problems()["mace layer 1"]
    trees, together = (backward_text(layer, form) for form in (Form(tiles=False), Form()))
    assert together.count("shfl.sync") <= 30 < 100 < trees.count("shfl.sync")
    assert together.count("bar.sync") <= 5 < 20 < trees.count("bar.sync")


def test_numbers_of_samples_are_not_compiled_in() -> None:
    """Triton would, for 1 and for whole sixteens."""
    kernel = TritonPlan(plan_tensor_product(zoo("float32")["both parities"]), torch.float32)
    parameters = getattr(kernel.module, kernel.emitted.passes[0].name).params
    assert {each.name for each in parameters if each.do_not_specialize} == {"count", "rows"}


@pytest.mark.slow
@pytest.mark.processes
def test_operands_are_read_ahead() -> None:
    """A copy in the background for every number that is read in the loop over the edges of a node."""
    layer = convolution(real_problems()["mace layer 1"])
    assert "cp.async.ca" not in backward_text(layer, Form())
    assert "cp.async.ca" in backward_text(layer, Form(stages=2))


@pytest.mark.slow
@pytest.mark.processes
def test_a_kernel_that_spills_is_compiled_again_with_all_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = TritonPlan(plan_tensor_product(zoo("float32")["both parities"]), torch.float32)
    assert ".maxnreg 255" in compiled(kernel, 0, "sm_80", roomy=True).asm["ptx"]
    seen: list[tuple[str, str, int | None]] = []

    class Jitted:
        """What Triton makes of a function: launched, or compiled only, and loaded when it is asked for a launch."""

        def __init__(self, name: str) -> None:
            self.name = name

        def __getitem__(self, grid: tuple[int, int]) -> Callable:
            return partial(self._told, "launched")

        def warmup(self, *_, grid: tuple[int, int], **options) -> defaultdict:
            self._told("compiled", **options)
            return defaultdict(partial(self._told, "loaded", **options))

        def _told(self, what: str, *_, **options) -> SimpleNamespace:
            seen.append((self.name, what, options.get("maxnreg")))
            return SimpleNamespace(n_spills=4 * (self.name != "fits"))

    one = kernel.emitted.passes[0]
    monkeypatch.setattr(kernel, "module", SimpleNamespace(fits=Jitted("fits"), spills=Jitted("spills")))
    for cuda in (None, "13.0"):
        monkeypatch.setattr(torch.version, "cuda", cuda)
        for name in ("fits", "spills") * 2:
            kernel._launch(replace(one, name=name), 1, [])
    fits, spills = ("fits", "launched", None), ("spills", "launched", None)
    again = [("spills", "compiled", 255), ("spills", "loaded", 255), fits, ("spills", "launched", 255)]
    assert seen == [*[fits, spills] * 3, *again]


def backward_text(problem: Problem, form: Form) -> str:
    """Of all gradients, as NVIDIA's virtual assembly."""
    sweep = TritonPlan(plan_tensor_product(problem), torch.float32, form).vjp().sweeps[0]
    return compiled(sweep, 0, "sm_90").asm["ptx"]
