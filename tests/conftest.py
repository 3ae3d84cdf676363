"""What all tests share: a store of their own, no settings from outside, e3nn 0.4.4 made importable by MACE, XLA's programs."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

for name in [name for name in os.environ if name.startswith("TP_")]:
    del os.environ[name]
os.environ["TP_LOG"] = "off"

with contextlib.suppress(ImportError):
    import mace  # noqa: F401  e3nn 0.4.4 imports on torch >= 2.6 only after it

from tests import tiers  # noqa: F401  registers the profiles
from tpregistry import discovery, session, settings
from tpregistry.store import open_store
from tpregistry_e3nn.adapter import Adapter


def pytest_configure(config: pytest.Config) -> None:
    """XLA compiles most of the time: without LLVM's optimisation, and once for all processes of a run."""
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        config.stash[OWN_CACHE] = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="tpregistry-xla-")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Of the process that made it."""
    if OWN_CACHE in config.stash:
        shutil.rmtree(config.stash[OWN_CACHE], ignore_errors=True)


OWN_CACHE = pytest.StashKey[str]()


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty store, settings of the test's own environment, nothing decided yet."""
    monkeypatch.setenv("TP_CACHE_DIR", str(tmp_path / "records"))
    forget()
    yield
    forget()


@pytest.fixture
def patched() -> Iterator[Adapter]:
    """A patched e3nn, given back afterwards."""
    adapter = Adapter()
    adapter.patch()
    yield adapter
    adapter.unpatch()


def forget() -> None:
    settings.process_settings.cache_clear()
    settings._changed.cache_clear()
    open_store.cache_clear()
    discovery.forget()
    session.forget()
