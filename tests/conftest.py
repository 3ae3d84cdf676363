"""What all tests share: a store of their own, no settings from outside, e3nn 0.4.4 made importable by MACE, XLA's programs."""

import contextlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

for name in [name for name in os.environ if name.startswith("TP_")]:
    del os.environ[name]
os.environ["TP_LOG"] = "off"

with contextlib.suppress(ImportError):
    import mace  # noqa: F401  e3nn 0.4.4 imports on torch >= 2.6 only after it

from tests import tiers
from tpregistry import discovery, session, settings
from tpregistry.store import open_store
from tpregistry_e3nn.adapter import Adapter

ROOT = Path(__file__).parents[1]
LONGEST = 2.0
"""Seconds of processor time that a test without a marker may take in `make fast`. In longer loops other work blurs that time."""


def pytest_configure(config: pytest.Config) -> None:
    """XLA compiles most of the time: without LLVM's optimisation, and what it has compiled is kept between runs."""
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(ROOT / ".cache" / "xla")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before pytest chooses by markers."""
    tiers.mark_exhaustive(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test without a marker belongs to `make fast`, where it must not take long."""
    begin = processor_seconds()
    yield
    seconds = processor_seconds() - begin
    if tiers.tier() == "fast" and seconds > LONGEST and not _may_take_long(item):
        words = f"took {seconds:.1f} s of processor time: make it shorter, or mark it slow (see CONTRIBUTING.md)"
        pytest.fail(words, pytrace=False)


def _may_take_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("slow", "processes", "xla", "gpu", "exhaustive"))


def processor_seconds() -> float:
    """Of this process and the children that have ended."""
    return sum(os.times()[:4])


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
