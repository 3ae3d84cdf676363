"""What all tests share: a store of their own, no settings from outside, and e3nn 0.4.4 made importable by MACE."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

for name in [name for name in os.environ if name.startswith("TP_")]:
    del os.environ[name]
os.environ["TP_LOG"] = "off"

with contextlib.suppress(ImportError):
    import mace  # noqa: F401  e3nn 0.4.4 imports on torch >= 2.6 only after it

from tpregistry import discovery, session, settings
from tpregistry.store import open_store
from tpregistry_e3nn.adapter import Adapter


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
