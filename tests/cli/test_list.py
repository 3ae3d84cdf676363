from __future__ import annotations

import pytest

from tests.cli.conftest import BROKEN, NEEDY


def test_built_ins_are_listed(tp):
    ended = tp("list")
    assert (ended.code, ended.err) == (0, "")
    rows = {line.split()[0]: line.split() for line in ended.out.splitlines() if line.startswith("  ")}
    assert rows["cg-hoist"][1:6] == ["cg", "ready", "torch,", "jax", "Apache-2.0"]
    assert rows["e3nn"][0] == "e3nn"
    assert "\x1b" not in ended.out
    assert "│" not in ended.out


def test_json_is_one_versioned_object(tp):
    data = tp("list", "--json").json
    assert data["schema"] == "tpregistry.list/1"
    states = {backend["name"]: backend["status"] for backend in data["backends"]}
    assert (states["cg-dense"], states["e3nn"]) == ("ready", "host")
    hosts = {adapter["host"]: adapter for adapter in data["adapters"]}
    assert hosts["e3nn"]["module"].startswith("e3nn.o3.")
    assert hosts["e3nn"]["host_version"]


def test_each_trouble_has_its_code_and_cure(tp, plugins):
    path = plugins(
        {"needy_plugin": NEEDY, "broken_plugin": BROKEN},
        one={"needy": "needy_plugin:Needy", "twice": "needy_plugin:Needy"},
        two={"broken": "broken_plugin:Broken", "twice": "needy_plugin:Needy"},
    )
    ended = tp("list", "--json", PYTHONPATH=path)
    assert ended.code == 0
    strange = [b for b in ended.json["backends"] if b["distribution"] != "tpregistry"]
    found = {b["name"]: (b["status"], b["reasons"][0]["code"]) for b in strange if b["reasons"]}
    assert found == {"needy": ("missing", "TP160"), "broken": ("broken", "TP152"), "twice": ("duplicate", "TP151")}
    text = tp("list", PYTHONPATH=path).out
    assert "pip install no-such-distribution" in text
    assert "libkernel.so is missing" in text
    assert "uninstall all but one" in text


@pytest.mark.slow
def test_what_TP_PLUGINS_leaves_out_is_shown_as_such(tp):
    states = {b["name"]: b["status"] for b in tp("list", "--json", TP_PLUGINS="!cg-dense").json["backends"]}
    assert (states["cg-dense"], states["cg-hoist"]) == ("not allowed", "ready")


def test_a_bad_setting_does_not_stop_the_list(tp):
    ended = tp("list", TP_TUNE="sometimes")
    assert ended.code == 0
    assert "cg-hoist" in ended.out
    assert "TP_TUNE='sometimes'" in ended.err
    assert "miss, off, force, require" in ended.err
