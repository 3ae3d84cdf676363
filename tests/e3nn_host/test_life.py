"""The life of a patched module: moved, converted, copied, pickled, loaded, unpatched."""

import copy
import io
import pickle
import subprocess
import sys

import pytest
import torch
from e3nn import o3

import tpregistry
from tests.e3nn_host.conftest import inputs, stock
from tpregistry_e3nn.adapter import Adapter


@pytest.fixture
def bound(convolution, kernel):
    module = convolution()
    with tpregistry.use(kernel):
        module(*inputs(module, 4))
    assert "_tpregistry" in module.__dict__
    return module


def test_state_dict_is_stock(bound, convolution, patched) -> None:
    keys = list(bound.state_dict())
    patched.unpatch()
    assert keys == list(convolution().state_dict())
    bound.load_state_dict(bound.state_dict(), strict=True)


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_hold_nothing_of_ours_and_compute_the_same(bound, copied) -> None:
    other = copied(bound)
    assert "_tpregistry" not in other.__dict__
    args = inputs(bound, 4)
    assert torch.equal(stock(other, *args), stock(bound, *args))
    assert "_tpregistry" in bound.__dict__


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.to("cpu"),
        lambda m: m.load_state_dict(m.state_dict()),
        lambda m: m.float(),
        lambda m: m.double().float(),
        lambda m: [buffer.copy_(buffer.clone()) for buffer in m.buffers()],  # a broadcast of DistributedDataParallel
    ],
)
def test_what_changes_nothing_binds_nothing_anew(bound, change, monkeypatch, kernel) -> None:
    change(bound)
    monkeypatch.setattr("tpregistry.session.resolve", lambda *given: pytest.fail("it is decided anew"))
    args = inputs(bound, 4)
    with tpregistry.use(kernel):
        bound(*args)


def test_float64_conversion_keeps_the_rounded_coefficients(convolution, kernel) -> None:
    module = convolution()
    with tpregistry.use(kernel):
        module(*inputs(module, 4))
        module.double()
        args = inputs(module, 4, dtype=torch.float64)
        out = module(*args)
    torch.testing.assert_close(out, stock(module, *args), atol=1e-12, rtol=1e-12)
    last = tpregistry.decisions()[-2].problem
    assert last.dtype == "float64"
    assert {path.rounding for path in last.paths} == {"exact", "float32"}


def test_whole_modules_saved_by_a_patched_program_load_in_a_stock_one(bound, tmp_path) -> None:
    torch.save(bound, tmp_path / "module.pt")
    program = (
        "import sys\n"
        "try:\n    import mace\nexcept ImportError:\n    pass\n"
        "import torch\n"
        f"module = torch.load({str(tmp_path / 'module.pt')!r}, weights_only=False)\n"
        "module(torch.ones(2, 52), torch.ones(2, 9), torch.ones(2, module.weight_numel))\n"
        "assert not any(name.startswith('tpregistry') for name in sys.modules), 'stock program imported tpregistry'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_whole_modules_saved_by_a_stock_program_are_accelerated(convolution, patched, kernel) -> None:
    patched.unpatch()
    file = io.BytesIO()
    torch.save(convolution(), file)
    patched.patch()
    file.seek(0)
    module = torch.load(file, weights_only=False)
    with tpregistry.use(kernel):
        module(*inputs(module, 4))
    assert [decision.backend for decision in tpregistry.decisions()] == [kernel]


def test_unpatch_gives_the_class_back() -> None:
    methods = ("forward", "__getstate__", "_replicate_for_data_parallel")
    now = {name: o3.TensorProduct.__dict__.get(name) for name in methods}
    again = Adapter()
    again.patch()
    assert {name: o3.TensorProduct.__dict__.get(name) for name in methods} == now, "patching twice changes nothing"


def test_foreign_coefficients_are_left_to_the_host(convolution) -> None:
    module = convolution()
    for name, buffer in module._compiled_main_left_right.named_buffers():
        if "_w3j_1_1_2" in name:
            buffer.mul_(1.5)
    with tpregistry.use("auto"):
        assert torch.equal(module(*inputs(module, 4)), stock(module, *inputs(module, 4)))
    (reason,) = tpregistry.decisions().left_to_host
    assert "3j buffer for l = (1, 1, 2)" in reason


def test_flipped_signs_fold_into_the_coefficient(convolution, kernel) -> None:
    """A 0.4.4 checkpoint under a later e3nn brings its own signs: the module's buffers define the function."""
    module = convolution()
    buffers = module._compiled_main_left_right.named_buffers()
    flipped = [buffer for name, buffer in buffers if "_w3j_2_1_1" in name or "_w3j_2_1_2" in name]
    for buffer in flipped:
        buffer.neg_()
    args = inputs(module, 4)
    with tpregistry.use(kernel):
        out = module(*args)
    torch.testing.assert_close(out, stock(module, *args), atol=2e-5, rtol=1e-5)
    (decision, _) = tpregistry.decisions()
    assert flipped
    assert any(path.coefficient < 0 for path in decision.problem.paths)
