"""Fingerprints: of the sources that a plugin is made of, however it is packaged."""

import importlib
import sys

import pytest

from tpregistry import fingerprint as module
from tpregistry.fingerprint import fingerprint


def digest(name: str) -> str:
    """Of a module that is imported anew."""
    for known in [known for known in sys.modules if known.partition(".")[0] == name.partition(".")[0]]:
        del sys.modules[known]
    module._digest.cache_clear()
    importlib.invalidate_caches()
    importlib.import_module(name)
    return fingerprint(name)


@pytest.mark.parametrize("name", ["tp_single", "tp_regular.backend", "tp_space.backend", "tp_company.maker.backend"])
def test_a_changed_source_is_another_plugin(name, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    if "regular" in name:
        (file.parent / "__init__.py").write_text("")
    first = digest(name)
    assert digest(name) == first != "unknown"
    beside = file.parent / "kernels.py" if "." in name else file
    beside.write_text("changed = True")
    assert digest(name) != first


def test_strangers_in_a_shared_namespace_do_not_matter(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for maker in ("ours", "theirs"):
        (tmp_path / "tp_shared" / maker).mkdir(parents=True)
        (tmp_path / "tp_shared" / maker / "__init__.py").write_text("")
    first = digest("tp_shared.ours")
    (tmp_path / "tp_shared" / "theirs" / "__init__.py").write_text("changed = True")
    assert digest("tp_shared.ours") == first
