"""What a site would skip is not as it was: the host's code runs, sees what was changed, and is counted."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from e3nn import o3
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrize

import tpregistry
from tests.sites import host
from tests.sites.conftest import BlockSite, convolutions, inputs, stock
from tests.sites.host import Block

Undo = Callable[[], None] | None


def doubled(module: Any, args: Any, out: torch.Tensor) -> torch.Tensor:
    return 2 * out


def halved(module: Any, args: Any) -> Any:
    return (0.5 * args[0], *args[1:])


class Wrapper(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any) -> torch.Tensor:
        return 2 * self.inner(*args)


class Doubled(o3.TensorProduct):
    def forward(self, x: Any, y: Any, weight: Any = None) -> torch.Tensor:
        return 2 * super().forward(x, y, weight)


class Called(o3.TensorProduct):
    def __call__(self, *args: Any) -> torch.Tensor:
        return 2 * super().__call__(*args)


class Twice(torch.nn.Module):
    def forward(self, buffer: torch.Tensor) -> torch.Tensor:
        return 2 * buffer


def change_class(kind: type) -> Callable[[Block, Any], Undo]:
    return lambda block, patch: setattr(block.tp, "__class__", kind)


def wrap(block: Block, patch: Any) -> Undo:
    block.tp = Wrapper(block.tp)  # type: ignore[assignment]
    return None


def own_forward(block: Block, patch: Any) -> Undo:
    forward = block.tp.forward
    block.tp.forward = lambda *args: 2 * forward(*args)  # type: ignore[method-assign]
    return None


def hooked_with_keywords(block: Block, patch: Any) -> Undo:
    return block.tp.register_forward_hook(lambda m, args, kwargs, out: 2 * out, with_kwargs=True).remove


def parametrized(block: Block, patch: Any) -> Undo:
    parametrize.register_parametrization(block.tp._compiled_main_left_right, "_w3j_1_1_2", Twice()) if hasattr(
        block.tp._compiled_main_left_right, "_w3j_1_1_2"
    ) else parametrize.register_parametrization(block.tp, "output_mask", Twice())
    return None


def patched_class_forward(block: Block, patch: Any) -> Undo:
    ours = o3.TensorProduct.forward
    patch.setattr(o3.TensorProduct, "forward", lambda self, *args: 2 * ours(self, *args))
    return None


def patched_class_call(block: Block, patch: Any) -> Undo:
    call = torch.nn.Module.__call__
    patch.setattr(o3.TensorProduct, "__call__", lambda self, *args: 2 * call(self, *args), raising=False)
    return None


def patched_every_call(block: Block, patch: Any) -> Undo:
    call = torch.nn.Module.__call__

    def seen(self: Any, *args: Any, **kwargs: Any) -> Any:
        out = call(self, *args, **kwargs)
        return 2 * out if isinstance(self, o3.TensorProduct) else out

    patch.setattr(torch.nn.Module, "__call__", seen)
    return None


def patched_call_impl(block: Block, patch: Any) -> Undo:
    call = torch.nn.Module._call_impl

    def seen(self: Any, *args: Any, **kwargs: Any) -> Any:
        out = call(self, *args, **kwargs)
        return 2 * out if isinstance(self, o3.TensorProduct) else out

    patch.setattr(torch.nn.Module, "_call_impl", seen)
    return None


def another_function(block: Block, patch: Any) -> Undo:
    collect = host.collect
    patch.setattr(host, "collect", lambda *args: 2 * collect(*args))
    return None


def compiled(block: Block, patch: Any) -> Undo:
    block.tp.compile(backend="eager")
    return None


def hooked_everywhere(block: Block, patch: Any) -> Undo:
    def seen(module: Any, args: Any, out: Any) -> Any:
        return 2 * out if isinstance(module, o3.TensorProduct) else None

    return torch_module.register_module_forward_hook(seen).remove


def hooked_everywhere_before(block: Block, patch: Any) -> Undo:
    def seen(module: Any, args: Any) -> Any:
        return halved(module, args) if isinstance(module, o3.TensorProduct) else None

    return torch_module.register_module_forward_pre_hook(seen).remove


def fused(block: Block, patch: Any) -> Undo:
    block.fused = True
    return None


FORMS: dict[str, Callable[[Block, Any], Undo]] = {
    "forward hook": lambda block, patch: block.tp.register_forward_hook(doubled).remove,
    "forward hook with keywords": hooked_with_keywords,
    "forward hook that always runs": lambda block, patch: block.tp.register_forward_hook(doubled, always_call=True).remove,
    "forward pre-hook": lambda block, patch: block.tp.register_forward_pre_hook(halved).remove,
    "backward hook": lambda block, patch: block.tp.register_full_backward_hook(lambda m, i, o: (2 * i[0], *i[1:])).remove,
    "backward pre-hook": lambda block, patch: block.tp.register_full_backward_pre_hook(lambda m, o: (2 * o[0],)).remove,
    "forward hook on all modules": hooked_everywhere,
    "forward pre-hook on all modules": hooked_everywhere_before,
    "backward hook on all modules": lambda block, patch: (
        torch_module.register_module_full_backward_hook(lambda m, i, o: None).remove
    ),
    "hook on the generated code": lambda block, patch: block.tp._compiled_main_left_right.register_forward_hook(doubled).remove,
    "forward of the instance": own_forward,
    "forward of the class": patched_class_forward,
    "call of the class": patched_class_call,
    "call of all modules": patched_every_call,
    "what the call of all modules calls": patched_call_impl,
    "a subclass with a forward": change_class(Doubled),
    "a subclass with a call": change_class(Called),
    "a wrapper in its place": wrap,
    "a parametrization": parametrized,
    "another sum": another_function,
    "a compiled product": compiled,
    "a vendor's switch": fused,
}


NOT_ON_TORCHSCRIPT = ("backward hook on all modules", "hook on the generated code")


@contextmanager
def changed(form: str, block: Block) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        undo = FORMS[form](block, patch)
        if undo is not None:
            stack.callback(undo)
        yield


def result(block: Block) -> list[torch.Tensor]:
    given = inputs()
    out = block(*given)
    return [out, *torch.autograd.grad(out.square().sum(), given[:3])]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bound", [True, False])
def test_forms(form: str, bound: bool, block: Block) -> None:
    if form in NOT_ON_TORCHSCRIPT and isinstance(block.tp._compiled_main_left_right, torch.jit.ScriptModule):
        pytest.skip("torch refuses it on the generated code of e3nn 0.4.4")
    with tpregistry.use("cg-llvm"):
        if bound:
            result(block)
        before = convolutions()
        with changed(form, block):
            found = result(block)
            with tpregistry.use("off"):
                expected = result(block)
        assert convolutions() == before
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    left = tpregistry.decisions().left_to_host
    assert sum(left.values()) >= 1, left


def test_when_it_is_undone_kernels_run_again(block: Block) -> None:
    with tpregistry.use("cg-llvm"):
        result(block)
        with changed("forward hook", block):
            result(block)
        result(block)
    assert convolutions() == 2
    assert tpregistry.decisions().left_to_host == {"Block.forward: hooks on a product": 1}


def test_hooks_on_the_block_itself_see_what_runs(block: Block) -> None:
    expected = 2 * stock(lambda: block(*inputs()))
    block.register_forward_hook(doubled)
    with tpregistry.use("cg-llvm"):
        torch.testing.assert_close(block(*inputs()), expected, atol=1e-5, rtol=1e-5)
    assert convolutions() == 1


def test_numbers_written_into_its_buffers(block: Block) -> None:
    with tpregistry.use("cg-llvm"):
        block(*inputs())
        for buffer in block.tp._compiled_main_left_right.buffers():
            buffer.neg_()
        found = block(*inputs())
    torch.testing.assert_close(found, stock(lambda: block(*inputs())), atol=1e-5, rtol=1e-5)


def test_a_source_that_is_not_known_stays_stock(patched: object, monkeypatch: pytest.MonkeyPatch) -> None:
    class Newer(BlockSite):
        digests = frozenset(["another"])

    before, newer = host.Block.forward, Newer()
    told = newer.patch()
    assert told == "tests.sites.host:Block.forward stays stock: its code is not that of a version which tpregistry knows"
    assert host.Block.forward is before
    newer.unpatch()
    monkeypatch.setattr(host, "collect", lambda *args: before)
    assert BlockSite().patch() is not None, "what it calls is read too"


@pytest.mark.processes
def test_patching_twice_and_giving_back(patched: object) -> None:
    before, site = host.Block.forward, BlockSite()
    assert site.patch() is site.patch() is None
    ours = host.Block.forward
    assert ours is not before
    site.unpatch()
    assert host.Block.forward is before
    site.patch()
    host.Block.forward = theirs = lambda self, *args: ours(self, *args)  # type: ignore[method-assign]
    site.unpatch()
    assert host.Block.forward is theirs, "what others put over ours stays"
    host.Block.forward = before  # type: ignore[method-assign]
