"""TP_PLUGINS and TP_BACKEND, where what they name is not there, or is excluded again."""

from __future__ import annotations

import json

import pytest

from tpregistry import discovery
from tpregistry.errors import SettingError, UnknownBackend
from tpregistry.settings import Request, Settings


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
