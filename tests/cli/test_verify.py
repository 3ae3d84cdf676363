from __future__ import annotations

import pytest

pytest.importorskip("e3nn")
MOODY = """
from tpregistry.backend import Face, Reason, Verdict

class Wrong:
    engine = "torch"
    def __init__(self, size):
        self.size = size
    def __call__(self, x, y, w):
        return x[:, :1].repeat(1, self.size) + y[:, :1] + w[:, :1]

class Moody:
    face = Face("moody", "right, wrong, unable or raising, as the mode has it", "moody", ("torch",))
    def supports(self, problem, device, framework):
        mode = problem.paths[0].mode
        if mode == "uvuv":
            raise OSError("no answer")
        return Verdict((Reason("MD1", "not in this mode", "try another"),) if mode == "uvv" else ())
    def build(self, problem, device, framework):
        mode = problem.paths[0].mode
        if mode == "uvw":
            raise MemoryError("too big")
        if mode == "uuw":
            return len
        from tpregistry.plan import plan_tensor_product
        from tpregistry.testing import PlanKernel
        if mode == "uuu":
            return Wrong(problem.irreps_out.dim)
        return PlanKernel(plan_tensor_product(problem))
"""
RUDE = """
import time
print("hello from rude")
import numpy
end = time.process_time() + 0.25
while time.process_time() < end:
    pass
from tpregistry.backend import Face, Reason, Verdict
class Rude:
    face = Face("rough", "has another name", "rude", ("torch",), requires=("numpy", "no-such-distribution"))
    def supports(self, problem, device, framework): return Verdict((Reason("RD1", "never"),))
    def build(self, problem, device, framework): raise NotImplementedError
"""


@pytest.mark.slow
@pytest.mark.processes
def test_every_outcome_with_its_reasons(tp, tmp_path, plugins):
    path = plugins({"moody": MOODY}, moody={"moody": "moody:Moody"})
    arguments = ("verify", "moody", "--only", "per-sample weights", "--dtype", "float64", "--device", "cpu")
    ended = tp(*arguments, "--json", PYTHONPATH=path)
    assert ended.code == 1
    assert ended.json["schema"] == "tpregistry.verify/1"
    assert ended.json["complete"]
    found = {one["name"].split(",")[0]: one for one in ended.json["problems"]}
    assert {name: one["state"] for name, one in found.items()} == {
        "mode uvw": "raised",
        "mode uvu": "ok",
        "mode uvv": "unsupported",
        "mode uuw": "raised",
        "mode uuu": "wrong",
        "mode uvuv": "raised",
        "mode uvu<v": "ok",
        "mode u<vw": "ok",
    }
    assert found["mode uvw"]["reasons"] == ["TP180 raised MemoryError while it was built (moody.py:21): too big"]
    assert found["mode uuw"]["reasons"][0].startswith("TP180 raised TypeError while it was built")
    assert found["mode uvuv"]["reasons"] == ["TP181 moody.supports raised OSError: no answer"]
    assert found["mode uuu"]["reasons"][0].startswith("TP190 wrong: ")
    assert found["mode uuu"]["worst"] > 1 > found["mode uvu"]["worst"]
    assert found["mode uvu"]["check"]
    assert not (tmp_path / "store" / "v1").exists(), "nothing is recorded"


@pytest.mark.processes
def test_bad_manners(tp, plugins):
    path = plugins({"rude": RUDE}, rude={"rude": "rude:Rude"})
    ended = tp("verify", "rude", PYTHONPATH=path)
    assert ended.code == 1
    assert "TP160 rough needs no-such-distribution" in ended.out
    found = {line.split()[1]: line for line in ended.out.splitlines() if line.startswith("  fail")}
    assert set(found) == {"face", "light", "quiet", "quick"}
    assert "its face says 'rough', its entry point 'rude'" in found["face"]
    assert "imports numpy" in found["light"]
    assert "'hello from rude'" in found["quiet"]


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cg-hoits",), "there is no backend 'cg-hoits'. Did you mean cg-hoist? Known: cg-dense, cg-hoist"),
        (("cg-dense",), "cg-dense cannot be loaded: TP150 cg-dense is not allowed by TP_PLUGINS"),
        (("cg-hoist", "--only", "nowhere"), "--only 'nowhere': no problem of the zoo"),
        (("cg-hoist", "--dtype", "int8"), "dtype 'int8': use one of float64"),
    ],
)
def test_what_cannot_be_done_is_one_line(tp, arguments, message):
    ended = tp("verify", *arguments, TP_PLUGINS="!cg-dense")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert message in ended.err
    assert ended.err.count("\n") == 1
