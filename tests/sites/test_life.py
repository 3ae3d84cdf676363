"""Files, copies and programs of compilers are the host's: nothing of ours is in them, and they run where tpregistry is not."""

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from e3nn.util import jit

import tpregistry
from tests.sites.conftest import convolutions, inputs, stock
from tests.sites.host import Block

ROOT = Path(__file__).parents[2]
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith("tpregistry"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import torch
given = torch.load("given.pt")
"""


def bound(block: Block) -> torch.Tensor:
    with tpregistry.use("cg-llvm"):
        return block(*inputs())


def test_state_and_attributes_are_the_hosts(block: Block) -> None:
    fresh = Block()
    before = set(block.__dict__), set(block.tp.__dict__)
    bound(block)
    assert set(block.__dict__) == before[0] == set(fresh.__dict__)
    assert block.state_dict().keys() == fresh.state_dict().keys()
    assert [*map(str, block.modules())] == [*map(str, fresh.modules())]
    assert set(block.tp.__dict__) - before[1] == {"_tpregistry"}, "which no pickle holds"


def test_copies_and_pickles(block: Block) -> None:
    expected = bound(block)
    file = io.BytesIO()
    torch.save(block, file)
    data = pickle.dumps(block)
    assert b"tpregistry" not in file.getvalue()
    assert b"tpregistry" not in data
    for other in (copy.deepcopy(block), copy.copy(block), pickle.loads(data)):
        torch.testing.assert_close(bound(other), expected)
    assert convolutions() == 4


def test_scripted(block: Block) -> None:
    expected = bound(block)
    with tpregistry.use("cg-llvm"):
        for scripted in (torch.jit.script(copy.deepcopy(block)), jit.script(copy.deepcopy(block))):
            assert "tp_stock" not in scripted.code
            assert "radial" in scripted.code
            torch.testing.assert_close(scripted(*inputs()), expected, atol=1e-5, rtol=1e-5)
    assert convolutions() == 1


@pytest.mark.processes
def test_what_is_saved_runs_without_tpregistry(block: Block, tmp_path: Path) -> None:
    expected = bound(block).detach()
    torch.save(block, tmp_path / "whole.pt")
    torch.jit.script(block).save(tmp_path / "scripted.pt")
    torch.save(([one.detach() for one in inputs()], expected), tmp_path / "given.pt")
    program = (
        WITHOUT
        + f"""
sys.path.insert(0, {str(ROOT)!r})
import e3nn.o3
for model in (torch.load("whole.pt", weights_only=False), torch.jit.load("scripted.pt")):
    torch.testing.assert_close(model(*given[0]).detach(), given[1], atol=1e-5, rtol=1e-5)
assert not [name for name in sys.modules if name.startswith("tpregistry")]
"""
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_compiled(block: Block) -> None:
    if isinstance(block.tp._compiled_main_left_right, torch.jit.ScriptModule):
        pytest.skip("torch.compile refuses e3nn 0.4.4")
    expected = stock(lambda: block(*inputs()))
    with tpregistry.use("cg-llvm"):
        found = torch.compile(block, fullgraph=True, backend="eager")(*inputs())
        exported = torch.export.export(block, tuple(one.detach() for one in inputs()))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(exported.module()(*inputs()), expected, atol=1e-5, rtol=1e-5)
    assert convolutions() == 0


def test_traced(block: Block) -> None:
    given = [one.detach() for one in inputs()]
    expected = stock(lambda: block(*given))
    with tpregistry.use("cg-llvm"):
        traced = torch.jit.trace(block, tuple(given), check_trace=False)
        graph = torch.fx.experimental.proxy_tensor.make_fx(block)(*given)
        scripted = isinstance(block.tp._compiled_main_left_right, torch.jit.ScriptModule)  # e3nn 0.4.4, which looks at shapes
        symbols = graph if scripted else torch.fx.symbolic_trace(block)
    for program in (traced, graph, symbols):
        torch.testing.assert_close(program(*given), expected, atol=1e-5, rtol=1e-5)
    assert convolutions() == 0
    assert "tpregistry" not in str(traced.graph) + graph.code + symbols.code


def test_transformed(block: Block) -> None:
    given = [one.detach() for one in inputs()]
    several = torch.stack([given[0], 2 * given[0]])

    def of_x(x: torch.Tensor) -> torch.Tensor:
        return block(x, *given[1:])

    def transformed() -> list[torch.Tensor]:
        tangent = torch.func.jvp(of_x, (given[0],), (torch.ones_like(given[0]),))[1]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = of_x(given[0])
        with torch.inference_mode():
            inferred = of_x(given[0])
        return [torch.vmap(of_x)(several), tangent, torch.func.grad(lambda x: of_x(x).sum())(given[0]), cast, inferred]

    with tpregistry.use("cg-llvm"):
        found = transformed()
    for one, other in zip(found, stock(transformed), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert convolutions() == 1, "in inference mode"


def test_moved_and_loaded(block: Block) -> None:
    other = Block()
    bound(block)
    block.load_state_dict(other.state_dict())
    torch.testing.assert_close(bound(block), stock(lambda: other(*inputs())), atol=1e-5, rtol=1e-5)
    block.double()
    with tpregistry.use("cg-llvm"):
        found = block(*inputs(dtype=torch.float64))
    torch.testing.assert_close(found, stock(lambda: block(*inputs(dtype=torch.float64))))


def test_checkpointed(block: Block) -> None:
    from torch.utils.checkpoint import checkpoint

    def gradients(again: bool) -> list[torch.Tensor]:
        given = inputs()
        out = checkpoint(block, *given, use_reentrant=False) if again else block(*given)
        return list(torch.autograd.grad(out.square().sum(), given[:3]))

    with tpregistry.use("cg-llvm"):
        found = gradients(again=True)
    for one, other in zip(found, stock(lambda: gradients(again=False)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
