"""Generated code that a program hooks, wraps or replaces: what runs is what stock would run, and the call is counted."""

import copy

import pytest
import torch
from e3nn import o3

import tpregistry
from tests.e3nn_host.conftest import inputs, stock
from tests.e3nn_host.test_ground import MAIN, main_of
from tpregistry.errors import TPError
from tpregistry.torch import Graph, TensorProductConv

BATCH = 5


@pytest.fixture(autouse=True)
def forced():
    with tpregistry.use("cg-hoist"):
        yield


@pytest.fixture(params=["bound before", "met so"])
def module(request, convolution) -> o3.TensorProduct:
    """Also one that is met so, of whose problem there is a record."""
    convolution()(*inputs(convolution(), BATCH))
    made = convolution()
    if request.param == "bound before":
        made(*inputs(made, BATCH))
    return made


class Rounded(torch.nn.Module):
    """As quantisers do."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x, y, w):
        return (8 * self.inner(x, y, w)).round() / 8


def scripted(module) -> bool:
    """TorchScript takes no hooks: e3nn 0.4.4."""
    return isinstance(main_of(module), torch.jit.ScriptModule)


def forward_hook(main, seen):
    return main.register_forward_hook(lambda module, given, out: seen.append("forward") or 2 * out)


def pre_hook(main, seen):
    return main.register_forward_pre_hook(lambda module, given: seen.append("pre") or (3 * given[0], *given[1:]))


def backward_hook(main, seen):
    return main.register_full_backward_hook(lambda module, grads, outs: seen.append("backward") or (5 * grads[0], *grads[1:]))


def backward_pre_hook(main, seen):
    return main.register_full_backward_pre_hook(lambda module, outs: seen.append("backward pre") or (7 * outs[0],))


def everywhere(main, seen):
    hook = lambda module, given, out: seen.append(type(module).__name__)  # noqa: E731
    return torch.nn.modules.module.register_module_forward_hook(hook)


def everywhere_before(main, seen):
    return torch.nn.modules.module.register_module_forward_pre_hook(lambda module, given: seen.append(type(module).__name__))


def everywhere_backward(main, seen):
    return torch.nn.modules.module.register_module_full_backward_hook(lambda module, a, b: seen.append(type(module).__name__))


class calls_of_all_modules:
    """As profilers patch how torch calls modules."""

    def __init__(self, main, seen) -> None:
        self._stock = stock = torch.nn.Module._call_impl
        torch.nn.Module._call_impl = lambda module, *args: seen.append(type(module).__name__) or stock(module, *args)

    def remove(self) -> None:
        torch.nn.Module._call_impl = self._stock


HOOKS = [forward_hook, pre_hook, backward_hook, backward_pre_hook, everywhere, everywhere_before, everywhere_backward]
HOOKS += [calls_of_all_modules]


def trained(module, args) -> list[torch.Tensor]:
    out = module(*args)
    return [out, *torch.autograd.grad(out.square().sum(), args)]


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_fire_as_often_and_change_as_much(hook, module) -> None:
    args, seen = inputs(module, BATCH, requires_grad=True), []
    if scripted(module) and hook not in (everywhere, everywhere_before):
        pytest.skip("TorchScript takes no hooks")
    before = [value.detach() for value in trained(module, args)]
    handle = hook(main_of(module), seen)
    try:
        left = tpregistry.decisions().left_to_host
        found, ours = trained(module, args), list(seen)
        reasons = sum(left[reason] for reason in ("hooks on the generated code", "hooks on all modules"))
        seen.clear()
        with tpregistry.use("off"):
            expected = trained(module, args)
    finally:
        handle.remove()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)
    assert ours == seen != []
    assert reasons == 1
    runs_ours(module, args, before)


def runs_ours(module, args, expected) -> None:
    (bound,) = [decision for decision in tpregistry.decisions() if decision.backend == "cg-hoist" and decision.problem.derivatives]
    calls = bound.calls
    torch.testing.assert_close(trained(module, args), expected, atol=1e-3, rtol=1e-4)
    assert bound.calls == calls + 1


def wrapped(module) -> None:
    setattr(module, MAIN, Rounded(main_of(module)))


def over_it(module) -> None:
    inner = main_of(module)
    module.__dict__[MAIN] = lambda x, y, w: (8 * inner(x, y, w)).round() / 8


def another_forward(module) -> None:
    inner = main_of(module).forward
    main_of(module).forward = lambda x, y, w: (8 * inner(x, y, w)).round() / 8


def traced(module) -> None:
    args = inputs(module, BATCH)
    setattr(module, MAIN, torch.jit.trace(Rounded(main_of(module)), args))


def graph_around(module) -> None:
    if isinstance(main_of(module), torch.jit.ScriptModule):
        pytest.skip("fx takes no TorchScript")
    setattr(module, MAIN, torch.fx.GraphModule(*_around(main_of(module))))


def _around(main) -> tuple[torch.nn.Module, torch.fx.Graph]:
    root, graph = torch.nn.ModuleDict({"inner": main}), torch.fx.Graph()
    operands = [graph.placeholder(name) for name in "xyw"]
    graph.output(graph.call_method("round", (graph.call_module("inner", tuple(operands)),)))
    return root, graph


def edited(module) -> None:
    """A pass over the generated graph, in place."""
    main = main_of(module)
    if isinstance(main, torch.jit.ScriptModule):
        pytest.skip("TorchScript is not edited")
    (end,) = [node for node in main.graph.nodes if node.op == "output"]
    with main.graph.inserting_before(end):
        end.args = (main.graph.call_method("round", (end.args[0],)),)
    main.recompile()


def other_code(module) -> None:
    """Generated by e3nn, for paths of other weights."""
    paths = [(*ins[:5], 4.0) for ins in module.instructions]
    irreps = module.irreps_in1, module.irreps_in2, module.irreps_out
    other = o3.TensorProduct(*irreps, paths, path_normalization="none", shared_weights=False, internal_weights=False)
    setattr(module, MAIN, main_of(other))


@pytest.mark.slow
@pytest.mark.parametrize("change", [wrapped, over_it, another_forward, traced, graph_around, edited, other_code])
def test_other_code_in_its_place_runs(change, module) -> None:
    args = inputs(module, BATCH)
    before = stock(module, *args)
    change(module)
    expected = stock(module, *args)
    left = tpregistry.decisions().left_to_host.copy()
    torch.testing.assert_close(module(*args), expected, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(expected, before, atol=1e-2)
    assert sum((tpregistry.decisions().left_to_host - left).values()) == 1


def test_instructions_that_say_something_else_than_the_code_was_made_of(convolution) -> None:
    module = convolution()
    module.instructions[1] = module.instructions[1]._replace(path_weight=3.0)
    args = inputs(module, BATCH)
    assert torch.equal(module(*args), stock(module, *args))
    assert "its code does not compute what its instructions say" in tpregistry.decisions().left_to_host


def test_wrapped_within_a_convolution(convolution) -> None:
    tp = convolution()
    x, y, w = inputs(tp, BATCH)
    edges = Graph(torch.tensor([0, 1, 2, 3, 4]), torch.tensor([1, 1, 0, 2, 2]), BATCH, BATCH)
    layer = TensorProductConv(tp)
    layer(x, y, w, edges)
    wrapped(tp)
    found = layer(x, y, w, edges)
    assert tpregistry.decisions().left_to_host == {"a Rounded in place of the generated code": 1}
    with tpregistry.use("off"):
        torch.testing.assert_close(found, layer(x, y, w, edges))


def test_a_wrapped_module_is_not_explained(convolution) -> None:
    tp = convolution()
    assert len(list(tpregistry.explain(tp))) == 1
    wrapped(tp)
    with pytest.raises(TPError, match="no tensor product"):
        tpregistry.explain(tp)


def test_copies_of_bound_modules_bind_for_themselves(convolution) -> None:
    tp = convolution()
    args = inputs(tp, BATCH)
    expected = tp(*args)
    wrapped(copy.deepcopy(tp))
    torch.testing.assert_close(tp(*args), expected)
