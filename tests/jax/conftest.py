"""e3nn-jax, patched for each test and given back."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest

from tests.conftest import forget
from tpregistry.settings import process_settings
from tpregistry_e3nn_jax.adapter import Adapter

BACKENDS = ("cg-dense", "cg-hoist", "cg-llvm", "cuequivariance-jax")


@pytest.fixture
def patched_jax() -> Iterator[Adapter]:
    """A patched e3nn-jax; compiled programs are dropped, for they would keep their kernels."""
    jax.clear_caches()
    adapter = Adapter()
    adapter.patch()
    yield adapter
    adapter.unpatch()
    jax.clear_caches()


@pytest.fixture(autouse=True)
def one_store(clean: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of all these tests: XLA takes seconds to compile what the gate runs, so each problem is checked once."""
    monkeypatch.setenv("TP_CACHE_DIR", str(tmp_path_factory.getbasetemp().parent / "jax-records"))


def force(backend: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every product on one backend."""
    monkeypatch.setenv("TP_BACKEND", backend)
    forget()
    process_settings()
    return backend


@pytest.fixture
def forced(patched_jax: Adapter, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every product on the compiled backend."""
    return force("cg-llvm", monkeypatch)


@pytest.fixture(params=BACKENDS)
def everywhere(request: pytest.FixtureRequest, patched_jax: Adapter, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every product on one backend, for each backend."""
    return force(request.param, monkeypatch)
