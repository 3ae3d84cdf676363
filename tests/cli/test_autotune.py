from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import clean_environment
from tests.signals import heeding_interrupts
from tpregistry.cli.autotune_command import variables
from tpregistry.cli.tuned import exit_code
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.problem import Mode

pytest.importorskip("e3nn")
PROGRAM = """
import sys, torch
from e3nn import o3
product = o3.FullyConnectedTensorProduct("4x0e", "0e+1o", "4x0e+4x1o")
with torch.no_grad():
    product(torch.randn(8, 4), torch.randn(8, 4))
print("done", *sys.argv[1:])
sys.exit(int(sys.argv[2]))
"""


def test_a_small_budget_leaves_candidates_unbuilt(tp):
    ended = tp("autotune", "4x0e+4x1o", "0e+1o", "--batch", "16", "--budget", "0.001")
    assert ended.code == 4
    assert "TP170 not built within TP_BUDGET" in ended.out
    assert "tpregistry: 4x0e+4x1o x 1x0e+1x1o" in ended.err


def test_only_the_host(tp):
    ended = tp("autotune", "4x0e", "0e", "--batch", "16", "--json", TP_PLUGINS="e3nn")
    assert ended.code == 3
    assert ended.json["schema"] == "tpregistry.autotune/1"
    assert ended.json["problems"][0]["backend"] == "e3nn"


@pytest.mark.processes
def test_a_program_is_measured_where_it_runs(tp, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    ended = tp("autotune", "--", sys.executable, "program.py", "--json", "0")
    assert ended.code == 0
    assert ended.out.startswith("done --json 0\n")
    (row,) = (line for line in ended.out.splitlines() if "4x0e x 1x0e+1x1o" in line)
    assert row.split()[3:5] == ["tuned", "1"]
    assert list((tmp_path / "store" / "v1").glob("*/*.json"))


@pytest.mark.processes
def test_the_exit_code_of_the_program_and_json_alone_on_stdout(tp, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    ended = tp("autotune", "--json", "--", sys.executable, "program.py", "x", "7", TP_BACKEND="e3nn")
    assert ended.code == 7
    assert ended.json["exit_code"] == 7
    assert [(one["backend"], one["calls"]) for one in ended.json["problems"]] == [("e3nn", 1)]
    assert "done x 7" in ended.err


def test_a_program_that_meets_nothing(tp):
    ended = tp("autotune", "--", sys.executable, "-c", "print('hello')")
    assert (ended.code, ended.out) == (3, "hello\n")
    assert "met no tensor product" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing was named"),
        (("--",), "name either subjects or, after --, a program"),
        (("4x0e", "0e", "--", "true"), "name either subjects or, after --, a program"),
        (("--", "no-such-program"), "no-such-program cannot be run"),
        (("--budget", "soon", "--", "true"), "TP_BUDGET='soon' (from argument): use a number of seconds"),
    ],
)
def test_what_cannot_be_done_is_one_line(tp, arguments, message):
    ended = tp("autotune", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert message in ended.err


def test_a_bad_setting(tp):
    ended = tp("autotune", "4x0e", "0e", TP_TUNE="sometimes")
    assert (ended.code, ended.out) == (2, "")
    assert "error: TP_TUNE='sometimes' (from environment): use one of miss, off, force, require" in ended.err


def test_what_the_program_sees():
    plain = variables({"PATH": "p", "TP_TUNE": "off"}, "60", False)
    assert plain == {"TP_BACKEND": "auto", "TP_TUNE": "miss", "TP_BUDGET": "60"}
    again = variables({"TP_BACKEND": "cg"}, "5", True)
    assert (again["TP_BACKEND"], again["TP_TUNE"]) == ("cg", "force")


def outcome(source="tuned", able=True, **outcomes):
    return {"source": source, "able": able, "host": "e3nn", "outcomes": outcomes}


@pytest.mark.parametrize(
    ("problems", "code"),
    [
        ([outcome(e3nn="ok", cg="ok")], 0),
        ([outcome(e3nn="ok", cg="wrong")], 3),
        ([outcome(e3nn="ok", cg="ok", other="not built")], 4),
        ([outcome(e3nn="ok", cg="wrong"), outcome(e3nn="ok", cg="not built")], 4),
        ([outcome(able=True)], 4),
        ([outcome(able=False)], 3),
        ([outcome(source="rule")], 0),
    ],
)
def test_exit_codes(problems, code):
    assert exit_code(problems) == code


@pytest.mark.processes
def test_an_interrupt_keeps_what_is_finished(tmp_path):
    sizes = (("2x0e", 4), ("64x0e+64x1o+64x2e", 4096))
    problems = [
        problem_from_irreps(irreps, "0e+1o", None, Mode.UVU, shared_weights=False, dtype="float32").at(batch=batch, derivatives=1)
        for irreps, batch in sizes
    ]
    (tmp_path / "two.json").write_text(json.dumps([problem.to_json() for problem in problems]))
    command = [sys.executable, "-m", "tpregistry.cli", "autotune", "two.json", "--json"]
    environ = clean_environment(tmp_path)
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heeding_interrupts,
    ) as process:
        assert process.stderr is not None
        assert "2x0e" in process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    data = json.loads(out)
    assert data["complete"] is False
    assert [one["digest"] for one in data["problems"]] == [problems[0].digest]
    assert len([path for path in (tmp_path / "store" / "v1").glob("*/*.json") if path.stem == problems[0].digest]) == 1
