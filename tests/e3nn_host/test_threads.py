"""One module in several threads, and its replicas as DataParallel makes them: one decision, the right numbers."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from e3nn import o3
from torch.nn.parallel import replicate

import tpregistry
from tests.cli.conftest import clean_environment
from tests.conftest import forget
from tests.e3nn_host.conftest import inputs, stock
from tpregistry.settings import process_settings

THREADS = 8


@pytest.fixture(params=["auto", "cg-hoist", "cg-llvm"])
def everywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backend for all threads, in settings that are read when a program's e3nn is patched."""
    monkeypatch.setenv("TP_BACKEND", request.param)
    monkeypatch.setenv("TP_BUDGET", "2")
    forget()
    process_settings()
    return request.param


def at_once(work, arguments) -> list[object]:
    """Results of all calls, which start at the same moment in threads of their own."""
    start = threading.Barrier(len(arguments))

    def one(argument):
        start.wait()
        return work(argument)

    with ThreadPoolExecutor(len(arguments)) as threads:
        return list(threads.map(one, arguments))


def expected_backends(request: str) -> set[str]:
    return {"e3nn", "cg-dense", "cg-hoist", "cg-llvm"} if request == "auto" else {request}


def test_first_calls_at_once_make_one_decision(convolution, everywhere) -> None:
    module = convolution()
    args = [inputs(module, 20, seed) for seed in range(THREADS)]
    found = at_once(lambda operands: module(*operands), args)
    for out, operands in zip(found, args, strict=True):
        torch.testing.assert_close(out, stock(module, *operands), atol=2e-5, rtol=1e-5)
    (decision,) = [decision for decision in tpregistry.decisions() if decision.source != "off"]
    assert decision.backend in expected_backends(everywhere)
    assert decision.source == ("tuned" if everywhere == "auto" else "forced")


def test_threads_that_enter_the_same_block_at_once_share_its_decision(convolution) -> None:
    module = convolution()

    def call(operands):
        with tpregistry.use("auto", budget=2):
            return module(*operands)

    at_once(call, [inputs(module, 20, seed) for seed in range(THREADS)])
    assert [decision.source for decision in tpregistry.decisions()] == ["tuned"]


def test_gradients_from_several_threads(convolution, everywhere) -> None:
    module = convolution()

    def force_training(operands):
        out = module(*operands)
        (force,) = torch.autograd.grad(out.square().sum(), operands[1], create_graph=True)
        return torch.autograd.grad(force.square().sum(), operands)

    args = [inputs(module, 20, seed, requires_grad=True) for seed in range(THREADS)]
    found = at_once(force_training, args)
    with tpregistry.use("off"):
        for gradients, operands in zip(found, args, strict=True):
            torch.testing.assert_close(gradients, force_training(operands), atol=1e-2, rtol=1e-4)
    assert {decision.backend for decision in tpregistry.decisions() if decision.source != "off"} <= expected_backends(everywhere)


class Pair(torch.nn.Module):
    """A product with weights of its own, as parameters that replicas share."""

    def __init__(self) -> None:
        super().__init__()
        self.product = o3.FullyConnectedTensorProduct("8x0e+4x1o", "0e+1o", "8x0e+4x1o")

    def forward(self, operands):
        return self.product(*operands)


@pytest.mark.parametrize("bound_before", [False, True])
def test_replicas_of_data_parallel(everywhere, bound_before, monkeypatch) -> None:
    """torch's own `replicate`, where copying to other devices is a view: there is one CPU."""
    monkeypatch.setattr(
        sys.modules["torch.nn.parallel.replicate"],
        "_broadcast_coalesced_reshape",
        lambda tensors, devices, detach=False: [[tensor.view_as(tensor) for tensor in tensors] for _ in devices],
    )
    model = Pair()
    args = [inputs(model.product, 20, seed)[:2] for seed in range(4)]
    if bound_before:
        model(args[0])
    replicas = replicate(model, list(range(4)))
    found = at_once(lambda pair: pair[0](pair[1]), list(zip(replicas, args, strict=True)))
    (gradient,) = torch.autograd.grad(torch.cat(found).square().sum(), model.product.weight)
    with tpregistry.use("off"):
        out = model([torch.cat(parts) for parts in zip(*args, strict=True)])
        (expected,) = torch.autograd.grad(out.square().sum(), model.product.weight)
    torch.testing.assert_close(torch.cat(found), out, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, expected, atol=1e-3, rtol=1e-4)
    (decision,) = [decision for decision in tpregistry.decisions() if decision.source != "off"]
    assert decision.backend in expected_backends(everywhere)


FORK = """
import contextlib
with contextlib.suppress(ImportError):
    import mace
import os, threading
import torch
from e3nn import o3
import tpregistry
from tpregistry import session

torch.set_num_threads(1)
module = o3.TensorProduct("4x1o", "1o", "4x0e", [(0, 0, 0, "uvu", True)], shared_weights=False, internal_weights=False)
operands = torch.ones(4, 12), torch.ones(4, 3), torch.ones(4, 4)
expected = module(*operands)
held, done = threading.Event(), threading.Event()

def decide():
    with session._lock:
        held.set()
        done.wait()

threading.Thread(target=decide).start()
held.wait()
child = os.fork()
if child == 0:
    larger = [tensor.repeat(16, 1) for tensor in operands]
    assert torch.allclose(module(*larger), expected.repeat(16, 1)), "a batch that has yet to be decided"
    os._exit(0 if [decision.calls for decision in tpregistry.decisions()] == [0, 1] else 3)
done.set()
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.processes
def test_a_fork_while_another_thread_decides(tmp_path) -> None:
    """The child decides for itself, and counts its own calls."""
    environ = clean_environment(tmp_path, TP_BACKEND="cg-hoist", TP_LOG="off")
    subprocess.run([sys.executable, "-c", FORK], env=environ, check=True, timeout=60)
