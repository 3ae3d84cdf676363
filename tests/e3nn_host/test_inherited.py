"""Programs patch e3nn's and torch's classes, before us or after: what they put there is what runs."""

import copy
import pickle

import pytest
import torch
from e3nn import o3
from e3nn.util.codegen import CodeGenMixin

import tpregistry
from tests.e3nn_host.conftest import inputs, stock
from tests.e3nn_host.test_ground import main_of
from tpregistry_e3nn.adapter import Adapter


@pytest.mark.parametrize(
    ("parent", "name", "use"),
    [
        (CodeGenMixin, "__setstate__", lambda module: pickle.loads(pickle.dumps(module))),
        (CodeGenMixin, "__getstate__", pickle.dumps),
        (torch.nn.Module, "_load_from_state_dict", lambda module: module.load_state_dict(module.state_dict())),
        (torch.nn.Module, "_apply", lambda module: module.double()),
        (torch.nn.Module, "_replicate_for_data_parallel", lambda module: module._replicate_for_data_parallel()),
    ],
)
def test_methods_that_are_patched_later_are_called(parent, name, use, convolution, monkeypatch) -> None:
    theirs, called = getattr(parent, name), []
    module = convolution()

    def patched(self, *args, **kwargs):
        called.append(self)
        return theirs(self, *args, **kwargs)

    monkeypatch.setattr(parent, name, patched)
    with tpregistry.use("cg-hoist"):
        module(*inputs(module, 4))
    use(module)
    assert any(isinstance(one, o3.TensorProduct) for one in called)


def test_files_of_mace_are_read_as_by_stock(convolution, monkeypatch) -> None:
    """What nine public programs do, to read files of e3nn 0.4.4: states that e3nn itself would refuse are made to fit."""
    module = convolution()
    args = inputs(module, 4)
    expected = stock(module, *args)
    theirs = CodeGenMixin.__setstate__

    def reading(self, state):
        theirs(self, {key.removeprefix("old_"): value for key, value in state.items()})

    state = {f"old_{key}": value for key, value in module.__getstate__().items()}
    monkeypatch.setattr(CodeGenMixin, "__setstate__", reading)
    read = o3.TensorProduct.__new__(o3.TensorProduct)
    read.__setstate__(state)
    with tpregistry.use("cg-hoist"):
        torch.testing.assert_close(read(*args), expected, atol=2e-5, rtol=1e-5)


def test_a_forward_that_was_replaced_before_us_stays(patched, convolution, monkeypatch) -> None:
    patched.unpatch()
    theirs = o3.TensorProduct.forward
    monkeypatch.setattr(o3.TensorProduct, "forward", lambda self, *args: 2 * theirs(self, *args))
    module = convolution()
    args = inputs(module, 4)
    with pytest.warns(UserWarning, match=r"has replaced TensorProduct.forward"):
        Adapter().patch()
    with tpregistry.use("cg-hoist"):
        assert torch.equal(module(*args), 2 * theirs(module, *args))


def test_a_forward_that_is_replaced_after_us_stays_when_we_go(patched, convolution) -> None:
    patched.unpatch()
    of_e3nn = o3.TensorProduct.forward
    patched.patch()
    ours = o3.TensorProduct.forward
    theirs = lambda self, *args: 2 * ours(self, *args)  # noqa: E731
    o3.TensorProduct.forward = theirs
    try:
        patched.unpatch()
        assert o3.TensorProduct.forward is theirs
        module = convolution()
        args = inputs(module, 4)
        torch.testing.assert_close(module(*args), 2 * main_of(module)(*args))
    finally:
        o3.TensorProduct.forward = of_e3nn


def test_methods_of_subclasses_are_called(convolution) -> None:
    class Own(o3.FullyConnectedTensorProduct):
        def __getstate__(self):
            return super().__getstate__() | {"said": "own"}

    module = Own("2x1o", "2x1o", "2x0e")
    with tpregistry.use("cg-hoist"):
        module(*inputs(module, 4)[:2])
    assert copy.deepcopy(module).said == "own"
