"""TP_PLUGINS and TP_BACKEND: what they let in, and where what they name is not there, or is excluded again."""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path

import pytest

from tpregistry import bootstrap, discovery, hosts
from tpregistry.discovery import ADAPTERS
from tpregistry.errors import SettingError, TPError, UnknownBackend
from tpregistry.settings import Request, Settings, process_settings
from tpregistry.store import open_store


@pytest.mark.parametrize("plugins", [("cg-llvm",), ("!e3nn", "!definition")])
def test_hosts_are_always_allowed(plugins: tuple[str, ...]) -> None:
    """Their versions are part of every record: one that is made without TP_PLUGINS holds with it."""
    free, bound = discovery.backends(Settings()), discovery.backends(Settings(plugins=plugins))
    for name in ("e3nn", "e3nn_jax", "definition"):
        assert (bound[name].trouble, bound[name].versions) == (free[name].trouble, free[name].versions)


def test_a_name_that_allows_nothing_is_a_warning_with_the_nearest(tp) -> None:
    ended = tp("list", "--json", TP_PLUGINS="cg-hoits,!cg")
    said = ended.err.splitlines()
    assert said[0].startswith("warning: TP_PLUGINS=cg-hoits,!cg: there is no backend 'cg-hoits'. Did you mean cg-hoist?")
    assert said[1].startswith("warning: TP_PLUGINS=cg-hoits,!cg: there is no backend 'cg'.")
    assert said[1].endswith("(a family's name means nothing here)")
    assert len(json.loads(ended.out)["backends"]) > 10


@pytest.mark.parametrize("text", ["cg-llvm,!cg", "cg-llvm,!cg-llvm", "cg,!cg", "cg-llvm,mtp,!cg,!mtp"])
def test_what_is_named_and_excluded(text: str) -> None:
    with pytest.raises(SettingError, match=f"TP_BACKEND={text}: what is named is excluded too"):
        discovery.check_request(Request.parse(text), discovery.backends(Settings()))


@pytest.mark.parametrize("text", ["cg,!cg-llvm", "cg-llvm,e3nn,!cg", "e3nn,!e3nn", "!cg", "auto,!e3nn"])
def test_where_something_is_left(text: str) -> None:
    discovery.check_request(Request.parse(text), discovery.backends(Settings()))


def test_what_is_excluded_is_no_keyword() -> None:
    with pytest.raises(UnknownBackend) as raised:
        discovery.check_request(Request.parse("!aut"), discovery.backends(Settings()))
    assert "mean auto" not in str(raised.value)
    assert "Known: auto" not in str(raised.value)


E3NN = "e3nn.o3._tensor_product._tensor_product"
POINTS = f"""
[tpregistry.backends]
strangehost = strange:Backend
[tpregistry.adapters]
strangehost.layers = strange:Adapter
{E3NN} = strange:Adapter
[tpregistry.databases]
found = strange.inner:records
lost = nowhere:records
"""


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution of a stranger's that offers an adapter, one for a host of ours, a backend and databases; its folder."""
    (tmp_path / "strange" / "inner" / "records").mkdir(parents=True)
    (tmp_path / "strange" / "__init__.py").write_text("")
    info = tmp_path / "strange-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


ALLOWED = [((), True), (("cg-llvm",), False), (("!cg-llvm",), True), (("!{}",), False), (("cg-llvm", "{}"), True)]


@pytest.mark.parametrize(("plugins", "allowed"), ALLOWED)
def test_databases_of_strangers(strange: Path, plugins: tuple[str, ...], allowed: bool) -> None:
    """They are data: their packages are never imported, and one that is not there is none."""
    below = open_store(None, tuple(name.format("found") for name in plugins)).below
    assert (strange / "strange" / "inner" / "records" in below) is allowed
    assert "strange" not in sys.modules


@pytest.mark.parametrize(("plugins", "allowed"), ALLOWED)
def test_adapters_of_strangers(strange: Path, plugins: tuple[str, ...], allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of their host; one that is not let in is not imported when that is, and nothing is said of it."""
    monkeypatch.setenv("TP_PLUGINS", ",".join(plugins).format("strangehost"))
    process_settings.cache_clear()
    assert ("strangehost.layers" in hosts.adapters()) is allowed
    assert E3NN in hosts.adapters(), "ours are always there"
    if not allowed:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            bootstrap.patch("strangehost.layers")
        assert "strange" not in sys.modules


@pytest.mark.usefixtures("strange")
def test_an_adapter_of_a_strangers_lets_no_backend_in() -> None:
    """Its name is that of a host which the adapter says it is of."""
    bound = discovery.backends(Settings(plugins=("cg-llvm",)))
    assert [reason.code for reason in bound["strangehost"].trouble] == ["TP150"]
    assert [reason.code for reason in discovery.backends(Settings())["strangehost"].trouble] == ["TP152"]


@pytest.mark.usefixtures("strange")
def test_a_second_adapter_of_a_host_is_kept_out() -> None:
    with pytest.raises(TPError, match="2 distributions offer"):
        discovery.load_named(ADAPTERS, E3NN)
    assert discovery.load_named(ADAPTERS, E3NN, ("cg-llvm",)).__module__ == "tpregistry_e3nn.adapter"


@pytest.mark.usefixtures("strange")
def test_names_of_adapters_and_databases_are_known() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        discovery.backends(Settings(plugins=("strangehost", "found", "e3nn", "!lost")))


@pytest.mark.parametrize(
    ("text", "left"),
    [("", set()), ("!sevenn", {"sevenn"}), ("e3nn,nequip", {"e3nn_jax", "mace", "sevenn"}), ("!e3nn,!nequip", {"e3nn", "nequip"})],
)
def test_hosts_that_are_accelerated(text: str, left: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_ADAPTERS", text)
    process_settings.cache_clear()
    every = {hosts.host_of(name) for name in hosts.adapters()}
    assert every - {hosts.host_of(name) for name in hosts.accelerated()} == left
    assert hosts.adapter_for("torch").framework == "torch", "layers of ours do without patches"


def test_an_adapter_that_is_left_out_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_ADAPTERS", "!sevenn")
    monkeypatch.delitem(sys.modules, "tpregistry_sevenn.adapter", raising=False)
    hosts.adapter.cache_clear()
    process_settings.cache_clear()
    bootstrap.patch("sevenn.nn.convolution")
    assert "tpregistry_sevenn.adapter" not in sys.modules


def test_a_host_that_is_not_known_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_ADAPTERS", "!sevnn,e3nn")
    process_settings.cache_clear()
    with pytest.warns(UserWarning, match=r"TP_ADAPTERS=!sevnn,e3nn: there is no adapter for 'sevnn'; there are those for e3nn,"):
        hosts.accelerated()


def test_doctor_says_who_stays_stock(tp) -> None:
    checks = tp("doctor", "--json", TP_ADAPTERS="!e3nn,mcae").json["checks"]
    texts = [check["text"] for check in checks]
    assert any(re.fullmatch(r"e3nn [\d.]+ stays stock: TP_ADAPTERS leaves it out", text) for text in texts)
    assert any(text.startswith("TP_ADAPTERS: there is no adapter for 'mcae'") for text in texts)
    assert any(text.split()[:3] == ["TP_ADAPTERS", "!e3nn,", "mcae"] for text in texts)
