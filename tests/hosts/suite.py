"""Running a host's own test suite under a backend, and counting what ran where."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|XFAIL|XPASS) (.+?)(?: - .*)?$", re.MULTILINE)
KEEP_MEMORY = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=8589934592"
"""e3nn's tests of normalisation allocate gigabytes over and over: 57 s with freed memory kept, 95 s without."""

CACHE = Path(__file__).parents[2] / ".cache"


@dataclass
class Run:
    """Outcome of each test, calls by backend, and calls that a rule left to the host."""

    outcomes: dict[str, str] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> set[str]:
        """Tests that failed or could not run."""
        return {name for name, outcome in self.outcomes.items() if outcome in ("FAILED", "ERROR")}

    def share(self, backend: str) -> float:
        """Fraction of all eager calls that ran on a backend."""
        return self.calls[backend] / max(1, self.calls.total() + self.left.total())


def sdist(requirement: str) -> Path:
    """The unpacked source distribution of a pinned package, fetched once; it carries the tests that wheels leave out."""
    name = requirement.replace("==", "-").replace("e3nn-jax", "e3nn_jax")
    folder = CACHE / name
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*download, "-d", str(CACHE), requirement], check=True)
        subprocess.run(["tar", "xzf", str(CACHE / f"{name}.tar.gz"), "-C", str(CACHE)], check=True)
    return folder


def run(folder: Path, targets: list[str], tmp_path: Path, plugins: tuple[str, ...] = ("seeded",), **variables: str) -> Run:
    """Run test files of a suite in two processes with one thread each, with pytest plugins of ours; TP_* settings as given."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TP_")}
    environ |= {"TP_REPORT": str(tmp_path / "report-{pid}.json"), "TP_CACHE_DIR": str(tmp_path / "records"), "TP_LOG": "off"}
    environ |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": str(Path(__file__).parent)}
    environ |= {"GLIBC_TUNABLES": KEEP_MEMORY}
    environ |= {"TORCHINDUCTOR_CACHE_DIR": str(CACHE / "inductor")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "--dist", "worksteal"]
    command += [word for plugin in (*plugins, "reported") for word in ("-p", plugin)]
    command += ["-rA", "-q", "--tb=short", "--durations=12", "-W", "ignore", "-c", os.devnull, "--rootdir", ".", *targets]
    done = subprocess.run(command, cwd=folder, env=environ | variables, capture_output=True, text=True, check=False)
    (tmp_path / "output.txt").write_text(done.stdout + done.stderr)
    result = Run(dict(match.group(2, 1) for match in OUTCOME.finditer(done.stdout)))
    for path in tmp_path.glob("report-*.json"):
        _add(result, json.loads(path.read_text()))
    return result


def _add(result: Run, report: dict) -> None:
    for decision in report["decisions"]:
        result.calls[decision["backend"]] += decision["calls"]
        if decision["why"]:
            result.notes[decision["why"]] += decision["calls"]
    result.left.update(report["left_to_host"])


def describe(name: str, result: Run) -> str:
    """A few lines: what passed, where calls ran, and the reasons for those that did not."""
    ran = ", ".join(f"{backend} {calls}" for backend, calls in result.calls.most_common())
    left = ", ".join(f"{reason} {calls}" for reason, calls in result.left.most_common()) or "none"
    head = f"{name}: {len(result.outcomes)} tests, {len(result.failed)} failed\n  calls: {ran or 'none'}; left by rule: {left}"
    return "\n".join([head, *(f"  {calls} calls: {why}" for why, calls in result.notes.most_common(5))])
