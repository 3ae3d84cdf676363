"""What `benchmarks/gpu.sh` writes of its results; and that it is a program of bash."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MACHINE = {"device": "a GPU", "versions": {"torch": "2.0"}}
SECONDS = {"e3nn script": 4e-3, "e3nn eager": 8e-3, "cg-triton": 1e-3, "peer": 2e-3}


def row(pattern: str, **more: object) -> dict:
    return {"problem": "a product", "pattern": pattern, "seconds": SECONDS, "floor_seconds": 5e-4, **more}


RESULTS = {
    "kernels": {
        "rows": [row("forward"), row("force", left_out={"other": "fails the gate"})],
        "regret": {"mean": 1.1, "most": 1.25},
    },
    "convolutions": {"rows": [{**row("backward"), "crystal": "NaCl"}]},
    "kernels-late": {"rows": []},
    "mace": {
        "model": "mace",
        "atoms": 8,
        "steps": {"forces": {"auto": {"seconds": 0.1, "ratio": 2.0, "ratio_low": 1.9, "ratio_high": 2.1}}},
    },
}
SAID = (
    "**a GPU**",
    "| cg-triton | 4.00 (1) | - | 4.00 (1) |",
    "| peer | - | 2.00 (1) | - |",
    "50 % of the speed of a copy",
    "1.10 times as long as the best (at most 1.25)",
    "other did not take part everywhere: fails the gate",
    "`kernels-late`: nothing was measured",
    "mace, 8 atoms, forces: auto 100.0 ms, 2.00x (1.90-2.10).",
)


def report(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "gpu_report.py"), str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, result in RESULTS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"machine": MACHINE} | result))
    return tmp_path


def test_the_section_says_what_was_measured(results: Path) -> None:
    done = report(results)
    assert done.returncode == 0, done.stderr
    assert [line for line in SAID if line not in done.stdout] == []


def test_it_goes_between_the_marks_and_nowhere_else(results: Path) -> None:
    readme = results / "README.md"
    readme.write_text("before\n<!-- gpu -->\nold\n<!-- /gpu -->\nafter\n")
    for _ in range(2):
        assert report(results, "--readme", str(readme)).returncode == 0
    text = readme.read_text()
    assert text.startswith("before\n<!-- gpu -->\n**a GPU**")
    assert text.endswith("<!-- /gpu -->\nafter\n")
    assert "old" not in text
    readme.write_text("no marks")
    assert "has no lines <!-- gpu -->" in report(results, "--readme", str(readme)).stderr


def test_without_results_it_says_what_to_run(tmp_path: Path) -> None:
    assert "no results: run benchmarks/gpu.sh first" in report(tmp_path).stderr


@pytest.mark.processes
def test_the_command_is_a_program_of_bash() -> None:
    assert subprocess.run(["bash", "-n", str(BENCHMARKS / "gpu.sh")], check=False).returncode == 0


@pytest.mark.processes
def test_what_a_machine_lacks_is_told_before_anything_is_measured() -> None:
    ready = str(BENCHMARKS / "gpu_ready.py")
    bare = subprocess.run([sys.executable, "-I", "-S", ready], capture_output=True, text=True, check=False)
    assert bare.returncode == 1
    assert "torch: no such module, give its wheel in WHEELS" in bare.stdout
    assert subprocess.run([sys.executable, ready], capture_output=True, text=True, check=False).stdout == "ready\n"
