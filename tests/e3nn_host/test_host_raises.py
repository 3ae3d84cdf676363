"""What the host's own code raises is no fault of a backend: nothing is kept of it, and programs get stock's exception."""

import pytest
import torch
from e3nn import o3

import tpregistry
from tests.conftest import forget
from tests.e3nn_host.conftest import inputs, stock
from tpregistry.settings import current
from tpregistry.store import Outcome, open_store
from tpregistry_e3nn.host import ModuleKernel

NARROW, WIDE, HALF = torch.float32, torch.float64, torch.bfloat16


@pytest.fixture
def kernel() -> str:
    return "cg-hoist"


def outcomes() -> set[Outcome]:
    store = open_store(current().cache_dir)
    return {entry.outcome for record in store.records() for entry in record.entries}


def error_of(attempt) -> tuple[type, str]:
    with pytest.raises(Exception) as found:  # noqa: PT011
        attempt()
    return found.type, str(found.value)


@pytest.mark.parametrize("backend", ["cg-hoist", "auto"])
@pytest.mark.parametrize(("buffers", "operands"), [(NARROW, WIDE), (WIDE, NARROW), (NARROW, HALF)])
def test_operands_of_another_dtype_than_the_buffers(buffers, operands, backend, convolution) -> None:
    """Whether they are met first, or where kernels of this problem are bound already; and afterwards the program is corrected."""
    module = convolution().to(buffers)
    args = inputs(module, 5, dtype=operands)
    expected = error_of(lambda: stock(module, *args))
    tpregistry.decisions().left_to_host.clear()
    corrected = inputs(module, 5, dtype=buffers)
    with tpregistry.use(backend, budget=1):
        assert error_of(lambda: module(*args)) == expected
        assert f"operands of {operands}, buffers of {buffers}" in tpregistry.decisions().left_to_host
        torch.testing.assert_close(module(*corrected), stock(module, *corrected), atol=2e-5, rtol=1e-5)
        assert error_of(lambda: module(*args)) == expected
    assert Outcome.RAISED not in outcomes()
    assert backend == "auto" or tpregistry.decisions()[-1].backend == backend or tpregistry.decisions()[-2].backend == backend


def test_a_record_of_the_right_program_does_not_run_the_wrong_one(convolution, kernel) -> None:
    right, wrong = convolution().double(), convolution()
    args = inputs(right, 5, dtype=WIDE)
    with tpregistry.use(kernel):
        right(*args)
        forget()
        assert error_of(lambda: wrong(*args)) == error_of(lambda: stock(wrong, *args))


def test_code_without_buffers_takes_any_dtype(kernel) -> None:
    module = o3.FullyConnectedTensorProduct("4x0e", "3x0e", "4x0e", shared_weights=False, internal_weights=False)
    with tpregistry.use(kernel):
        for dtype in (NARROW, WIDE):
            args = inputs(module, 5, dtype=dtype)
            torch.testing.assert_close(module(*args), stock(module, *args), atol=2e-5, rtol=1e-5)
    assert [decision.backend for decision in tpregistry.decisions()].count(kernel) == 2


@pytest.fixture
def out_of_memory(monkeypatch) -> None:
    """The host fails while something is checked against it, not in the program."""

    def fail(self, x, y, w):
        raise MemoryError("not enough for this check")

    monkeypatch.setattr(ModuleKernel, "__call__", fail)


@pytest.mark.usefixtures("out_of_memory")
def test_a_host_that_fails_in_the_gate_leaves_no_verdict(convolution, kernel, monkeypatch) -> None:
    module = convolution()
    args = inputs(module, 5)
    with tpregistry.use(kernel), pytest.raises(MemoryError, match="not enough"):
        module(*args)
    assert outcomes() == set()
    with tpregistry.use("auto", budget=1):
        assert torch.equal(module(*args), stock(module, *args))
    (reason,) = tpregistry.decisions().left_to_host
    assert "the host's own code raised MemoryError while it was checked against" in reason
    assert outcomes() == set()
    monkeypatch.undo()
    with tpregistry.use(kernel):
        torch.testing.assert_close(convolution()(*args), stock(module, *args), atol=2e-5, rtol=1e-5)


@pytest.mark.usefixtures("out_of_memory")
def test_where_the_program_fails_too_it_gets_its_own_error(convolution) -> None:
    module = convolution()
    args = inputs(module, 5)
    args[0] = args[0][:, :-1]
    with tpregistry.use("auto", budget=1):
        assert error_of(lambda: module(*args)) == error_of(lambda: stock(module, *args))


def test_a_kernel_that_raises_is_still_its_own_fault(convolution, kernel, monkeypatch) -> None:
    def fail(*given):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("tpregistry_cg.CgHoist.build", fail)
    with tpregistry.use(kernel), pytest.raises(tpregistry.errors.Unsupported, match="ZeroDivisionError"):
        convolution()(*inputs(convolution(), 5))
    assert outcomes() == {Outcome.RAISED}
