from __future__ import annotations

from tests.cli.conftest import NEEDY
from tpregistry.reasons import MEANINGS


def test_all_codes_are_listed(tp):
    ended = tp("reason")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.splitlines()[1:]] == list(MEANINGS)


def test_one_code_with_the_backends_that_it_keeps_from_use(tp, plugins):
    path = plugins({"needy_plugin": NEEDY}, one={"needy": "needy_plugin:Needy"})
    ended = tp("reason", "tp160", PYTHONPATH=path)
    assert ended.code == 0
    assert ended.out.startswith("TP160  needs a library that is not installed\n")
    here, *names = ended.out.replace(",", "").splitlines()[-1].split()
    assert here == "here"
    assert "needy" in names
    data = tp("reason", "TP160", "--json", PYTHONPATH=path).json
    assert data["schema"] == "tpregistry.reason/1"
    (one,) = data["reasons"]
    assert (one["code"], one["backends"]) == ("TP160", names)


def test_a_code_that_is_not_ours(tp):
    ended = tp("reason", "ABC12")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ABC12 is not a code of tpregistry but of a plugin")


def test_a_bad_setting_does_not_stop_it(tp):
    ended = tp("reason", "TP120", TP_TUNE="sometimes")
    assert ended.code == 0
    assert "TP_TUNE='sometimes'" in ended.err
