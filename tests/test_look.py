"""What runs is what was checked: the very kernel, or the same code that is right once more in this process."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from e3nn import o3

import tpregistry
from tests.conftest import forget
from tests.test_session import call, decision, product, state
from tpregistry import session
from tpregistry.errors import Unsupported
from tpregistry.frame import frame
from tpregistry.gate import look
from tpregistry.settings import current
from tpregistry.store import Outcome, open_store
from tpregistry.testing import Loopback
from tpregistry.tune import race, tuner
from tpregistry_cg import CgDense, CgHoist, CgLlvm

pytestmark = pytest.mark.usefixtures("patched")


class Spoilt:
    """A kernel made of torch's functions whose result goes through a change."""

    engine = "spoilt"

    def __init__(self, kernel, change: Callable) -> None:
        self.kernel, self.change = kernel, change

    def __call__(self, x, y, w):
        return self.change(self.kernel(x, y, w), x)


def _raise(out, x):
    raise RuntimeError("no such symbol")


CHANGES = {
    "twice": lambda out, x: 2 * out,
    "one column": lambda out, x: torch.cat([out[:, :-1], 0 * out[:, -1:]], 1),
    "NaN": lambda out, x: out * float("nan"),
    "another shape": lambda out, x: out[:, :-1],
    "a gradient": lambda out, x: out + x.sum() - x.sum().detach(),
    "an error": _raise,
}


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable, *kinds: type) -> None:
    """From now on the backend builds another kernel, as where its code was replaced or a library changed."""
    for kind in kinds:
        build = kind.build
        monkeypatch.setattr(kind, "build", lambda *args, build=build: Spoilt(build(*args), change))


def trained(module: o3.TensorProduct) -> list[torch.Tensor]:
    """The output and all gradients."""
    inputs = [torch.ones(32, size, requires_grad=True) for size in (64, 4, 48)]
    out = module(*inputs)
    return [out, *torch.autograd.grad(out.square().sum(), inputs)]


def stock() -> list[torch.Tensor]:
    with tpregistry.use("off"):
        return trained(product())


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_wrong_later_is_the_hosts_with_a_warning_and_a_record_that_counts_no_more(kind: str, monkeypatch) -> None:
    with tpregistry.use("cg-hoist,e3nn"):
        trained(product())
        assert decision().backend == "cg-hoist"
        forget()
        spoil(monkeypatch, CHANGES[kind], CgHoist)
        with pytest.warns(UserWarning, match=r"cg-hoist for .* it is not used") as caught:
            found = [trained(product()) for _ in range(2)]
    assert len(caught) == 1
    assert decision().backend == "e3nn"
    for one in found:
        torch.testing.assert_close(one, stock(), rtol=0, atol=0)
    (kept,) = open_store(current().cache_dir).records()
    assert kept.entry("cg-hoist").outcome in (Outcome.WRONG, Outcome.RAISED)


def test_forced_it_raises(monkeypatch) -> None:
    with tpregistry.use("cg-hoist"):
        call(product())
        forget()
        spoil(monkeypatch, CHANGES["twice"], CgHoist)
        with pytest.raises(Unsupported, match="looked at before its first use: out: error"):
            call(product())


@pytest.mark.slow
def test_a_winner_that_is_wrong_later_is_the_hosts_and_then_measured_anew(monkeypatch) -> None:
    """The host always loses here, so that there is a winner."""
    monkeypatch.setattr(race, "winner", lambda samples, incumbent: "cg-hoist" if "cg-hoist" in samples else incumbent)
    monkeypatch.setattr(tuner, "winner", race.winner)
    with tpregistry.use("auto"):
        trained(product())
        assert decision().backend == "cg-hoist"
        forget()
        with monkeypatch.context() as spoiling, tpregistry.use("auto", tune="off"):  # no start that would go on measuring
            spoil(spoiling, CHANGES["a gradient"], CgHoist)
            with pytest.warns(UserWarning, match=r"cg-hoist for .* dx: error .* it is not used"):
                found = trained(product())
        assert decision().backend == "e3nn"
        torch.testing.assert_close(found, stock(), rtol=0, atol=0)
        forget()
        trained(product())
        assert (decision().backend, decision().source) == ("cg-hoist", "tuned")


def test_the_kernel_that_passed_is_the_one_that_runs(monkeypatch) -> None:
    built = []
    build = CgHoist.build
    monkeypatch.setattr(CgHoist, "build", lambda *args: built.append(build(*args)) or built[-1])
    with tpregistry.use("cg-hoist"):
        call(product())
    assert [decision().kernel] == built


def test_other_code_is_checked_anew(monkeypatch) -> None:
    """As after a change that no version shows: right, but not what the record speaks of."""
    with tpregistry.use("cg-llvm"):
        call(product())
        first = decision().record.entry("cg-llvm")
        assert first.digest == look.digest(decision().kernel) != ""
        store = open_store(current().cache_dir)
        store.put(decision().record.with_entry(replace(first, digest="0" * 24)))
        forget()
        call(product())
    assert (decision().backend, decision().record.entry("cg-llvm").digest) == ("cg-llvm", first.digest)


@pytest.mark.parametrize("context", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_looking_leaves_no_trace(context, monkeypatch) -> None:
    module, seen = product(), []
    fault = look.fault
    monkeypatch.setattr(look, "fault", lambda *args: seen.append(args) or fault(*args))
    with tpregistry.use("cg-llvm"):
        call(module)
        forget()
        module = product()
        with context(), warnings.catch_warnings():
            warnings.simplefilter("error")
            before = state()
            call(module)
            assert state() == before
        assert len(seen) == 1
        x = torch.ones(32, 64, requires_grad=True)
        module(x, torch.ones(32, 4), torch.ones(32, 48)).sum().backward()
    assert x.grad is not None


def test_nothing_is_looked_at_while_a_cuda_graph_is_captured(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert not frame("torch").may_look(Loopback())  # type: ignore[arg-type]


def test_what_is_wrong_on_the_timed_batch_is_noticed(monkeypatch) -> None:
    """Right on every case of the gate, wrong on the batch of the program."""
    spoil(monkeypatch, lambda out, x: 2 * out if len(x) == 50 else out, CgHoist, CgDense, CgLlvm)
    with tpregistry.use("auto"):
        found = call(product(), batch=50)
    entries = {entry.backend: entry for entry in decision().record.entries}
    for name in ("cg-hoist", "cg-dense", "cg-llvm"):
        assert entries[name].outcome is Outcome.WRONG
        assert entries[name].reasons[0].startswith("TP190 wrong: 50 samples, as timed: error ")
    with tpregistry.use("off"):
        torch.testing.assert_close(found, call(product(), batch=50))
    assert session.made[-1].backend == "e3nn"
