"""e3nn-jax, patched for each test and given back."""

from __future__ import annotations

import os
from collections.abc import Iterator

import jax
import pytest

from tests.conftest import forget
from tpregistry import discovery
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.gate import Evidence
from tpregistry.problem import Mode
from tpregistry.settings import Settings, process_settings
from tpregistry.tune import tuner
from tpregistry_e3nn_jax.adapter import Adapter

BACKENDS = ("cg-dense", "cg-hoist", "cg-llvm", "cuequivariance-jax")
"""Those that do every product."""

EASY = problem_from_irreps("4x0e+4x1o", "0e+1o", None, Mode.UVU, shared_weights=False, dtype="float32")


def on_a_cpu() -> list[str]:
    """Every backend that takes part in products of JAX programs on a CPU, some of them in easy products only."""
    return [
        name
        for name, plugin in discovery.backends(Settings()).items()
        if not plugin.trouble and not plugin.face.host and "jax" in plugin.face.frameworks
        if "tensor_product" in plugin.face.operations and plugin.backend.supports(EASY, "cpu", "jax").ok
    ]


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
    """Every product on one backend; what is named is not gated: tests compare its results themselves (the gate: `test_gate.py`)."""
    monkeypatch.setenv("TP_BACKEND", backend)
    if backend != "auto":
        monkeypatch.setattr(tuner, "verify", lambda kernel, yardstick: Evidence(()))
        monkeypatch.setenv("TP_CACHE_DIR", os.environ["TP_CACHE_DIR"] + "-not-gated")
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
