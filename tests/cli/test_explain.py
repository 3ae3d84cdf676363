from __future__ import annotations

import json

import pytest

from tests.cli.conftest import in_process
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.problem import Mode

pytest.importorskip("e3nn")
SMALL = ("4x0e+4x1o", "0e+1o", "--batch", "16", "--derivatives", "1")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A store with one record."""
    folder = tmp_path_factory.mktemp("tuned")
    ended = in_process(folder, "autotune", *SMALL, "--json")
    assert ended.code == 0
    return folder, ended.json["problems"][0]


def test_without_a_record(tp):
    ended = tp("explain", *SMALL, "--json", TP_LOG="off")
    assert (ended.code, ended.err) == (0, "")
    data = ended.json
    assert data["schema"] == "tpregistry.explain/1"
    assert data["settings"]["values"]["TP_LOG"] == {"value": "off", "source": "environment"}
    (one,) = data["problems"]
    assert one["problem"]["batch"] == 16
    assert one["problem"]["shared_weights"] is False
    assert one["record"] is None
    assert (one["decision"]["backend"], one["decision"]["source"]) == ("e3nn", "heuristic")
    assert set(one["decision"]["would_measure"]) >= {"cg-dense", "cg-hoist"}
    assert {c["name"]: c["state"] for c in one["candidates"]}["cg-dense"] == "not measured yet"


def test_source_prints_the_plan_and_what_is_generated(tp):
    ended = tp("explain", *SMALL, "--source", TP_LOG="off")
    assert ended.code == 0
    assert "plan x(batch, 16), y(batch, 4), w(batch, 24) -> out(batch, 64), 6 terms" in ended.out
    for heading in ("cg-llvm, forward", "cg-llvm, backward"):
        assert heading in ended.out
    assert "dx += y w dout; dy += x w dout; dw += x y dout" in ended.out
    assert ended.out.count("define void @run(") == 2


@pytest.mark.slow
def test_a_record_by_its_digest(tuned):
    folder, made = tuned
    ended = in_process(folder, "explain", made["digest"][:8], "--json")
    (one,) = ended.json["problems"]
    assert one["digest"] == made["digest"]
    assert (one["decision"]["source"], one["decision"]["backend"]) == ("record", made["backend"])
    dense = next(c for c in one["candidates"] if c["name"] == "cg-dense")
    assert dense["state"] == "ok"
    assert dense["measured"]["median_us"] > 0
    assert 0 <= dense["measured"]["worst_share"] <= 1
    assert dense["ratio"] > 0


@pytest.mark.slow
def test_text_of_a_record_with_TP_BACKEND_forced(tuned):
    folder, made = tuned
    ended = in_process(folder, "explain", made["digest"], TP_BACKEND="cg-dense")
    assert ended.code == 0
    assert "cg-dense" in ended.out
    assert "[forced]: TP_BACKEND=cg-dense asks for it" in ended.out
    assert "took" in ended.out
    assert any(line.split()[:2] == ["TP_BACKEND", "cg-dense"] for line in ended.out.splitlines())
    assert "\x1b" not in ended.out


def test_only_the_host_is_3_and_says_why(tp, tmp_path):
    write(tmp_path / "two.json", [problem(), problem().at(dtype="float64")])
    ended = tp("explain", "two.json", "--derivatives", "0", TP_PLUGINS="e3nn")
    assert ended.code == 3
    assert "TP150 cg-dense is not allowed by TP_PLUGINS" in ended.out
    assert "float64 d0" in ended.out
    assert "float32 d0" in ended.out


def test_a_saved_module_is_loaded_only_on_trust(tp, tmp_path):
    import torch
    from e3nn import o3

    torch.save(torch.nn.Sequential(o3.FullyConnectedTensorProduct("2x0e", "1x0e", "2x0e")), tmp_path / "m.pt")
    refused = tp("explain", "m.pt")
    assert (refused.code, refused.out) == (2, "")
    assert "--trust" in refused.err
    (one,) = tp("explain", "m.pt", "--trust", "--json", "--dtype", "float64").json["problems"]
    assert one["problem"]["irreps_in1"] == "2x0e"
    assert one["problem"]["dtype"] == "float64"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("4x0e", "1x1x1"), "'1x1x1' in '1x1x1' is not an irrep"),
        (("nowhere.json",), "there is no file nowhere.json"),
        (("abcdef12",), "none of the 0 records in"),
        (("4x0e",), "no product of irreps"),
        (("4x0e", "0e", "--mode", "xyz"), "use one of uvw, uvu"),
        (("4x0e", "0e", "--dtype", "int8"), "use one of float64"),
        (("4x0e", "0e", "--device", "nowhere"), "--device nowhere cannot be used"),
        (("bad.json",), "bad.json does not hold a problem (ValueError: a problem lacks the fields"),
        (("text.json",), "text.json does not hold a problem (JSONDecodeError"),
    ],
)
def test_what_cannot_be_read_is_one_line(tp, tmp_path, words, message):
    (tmp_path / "bad.json").write_text('{"irreps_in1": "0e"}')
    (tmp_path / "text.json").write_text("not json")
    ended = tp("explain", *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_settings_that_mean_nothing(tp):
    ended = tp("explain", *SMALL, TP_BACKEND="cg-hoits")
    assert (ended.code, ended.out) == (2, "")
    assert "error: TP_BACKEND=cg-hoits: there is no backend 'cg-hoits'" in ended.err


def problem():
    return problem_from_irreps("4x0e+4x1o", "0e+1o", None, Mode.UVU, shared_weights=False, dtype="float32")


def write(path, problems):
    path.write_text(json.dumps([one.to_json() for one in problems]))
