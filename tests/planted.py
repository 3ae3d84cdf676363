"""Plants a fault in each of ten places of the product, one at a time, in a copy, and asks a loop whether it notices.

    python tests/planted.py --tier fast          what `make fast` finds
    python tests/planted.py --tier test          what the tests of `make test` in one environment find
    python tests/planted.py --only stride        one of them

Prints a row for each: the fault, whether it was found, by which test. Exits with 1 where one was not found.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARKERS = {"fast": "not (slow or processes or xla or gpu or exhaustive)", "test": "not exhaustive"}
APART = ("tests/hosts", "tests/interpreted", "tests/jax/test_suite.py")

PARTS = (
    "tpregistry",
    "plugins",
    "adapters",
    "tests",
    "docs",
    "benchmarks",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "Makefile",
)


@dataclass(frozen=True)
class Fault:
    """A line of a file as it is, and as it would be wrong."""

    name: str
    file: str
    right: str
    wrong: str


FAULTS = (
    Fault(
        "a gradient of a plan goes to the wrong factor",
        "tpregistry/plan/plan.py",
        "others = (*self.factors[:position], received, *self.factors[position + 1 :])",
        "others = (received, *self.factors[:position], *self.factors[position + 1 :])",
    ),
    Fault(
        "a swapped stride: compiled code takes all rows of an operand for the first",
        "tpregistry/torch/native.py",
        "table += tensor.data_ptr(), tensor.stride(0) if operand.batched else 0\n        for tensor, operand in zip(outputs",
        "table += tensor.data_ptr(), tensor.shape[1] if operand.batched else 0\n        for tensor, operand in zip(outputs",
    ),
    Fault(
        "a wrong block: cg-hoist cuts the products of a group in another order",
        "plugins/tpregistry_cg/hoist.py",
        "found |= dict(zip(numbers, cut(product, widths), strict=True))",
        "found |= dict(zip(numbers[::-1], cut(product, widths), strict=True))",
    ),
    Fault(
        "a store that loses a record: what is put is kept in memory alone",
        "tpregistry/store/directory.py",
        "write_whole(path, json.dumps(record.to_json()).encode())",
        "len(json.dumps(record.to_json()).encode())",
    ),
    Fault(
        "a guard left out: kernels run under functorch's transforms",
        "tpregistry/torch/guard.py",
        "if _functorch_level() is not None:",
        "if False:",
    ),
    Fault(
        "a sign: imaginary harmonics of one parity turn round",
        "tpregistry/so3/clebsch_gordan.py",
        "matrix[degree + m, [degree + m, degree - m]] = sign, 1j * sign",
        "matrix[degree + m, [degree + m, degree - m]] = sign, -1j * sign",
    ),
    Fault(
        "an exclusion that is not heeded",
        "tpregistry/select.py",
        "c.answers_to(name) for name in settings.backend.excluded",
        "c.answers_to(name) for name in settings.backend.names",
    ),
    Fault(
        "a gate that allows ten thousand times the error",
        "tpregistry/gate/gate.py",
        "return multiple * grown * max(",
        "return 1e4 * multiple * grown * max(",
    ),
    Fault(
        "a pickle of a bound module holds what is ours",
        "adapters/tpregistry_e3nn/adapter.py",
        'state.pop("_tpregistry", None)',
        'state.get("_tpregistry", None)',
    ),
    Fault(
        "a record of another device is taken for one of this",
        "tpregistry/store/directory.py",
        "if record and (record.problem, record.environment) == (problem, dict(environment)):",
        "if record and record.problem == problem:",
    ),
)


def planted(fault: Fault, folder: Path) -> Path:
    """A copy of the sources with the fault in it."""
    for name in (
        "tpregistry",
        "plugins",
        "adapters",
        "tests",
        "docs",
        "benchmarks",
        "pyproject.toml",
        "README.md",
        "CONTRIBUTING.md",
        "Makefile",
    ):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    file = folder / fault.file
    text = file.read_text()
    assert text.count(fault.right) == 1, f"{fault.file} no longer holds {fault.right!r} once"
    file.write_text(text.replace(fault.right, fault.wrong))
    return folder


def asked(fault: Fault, tier: str) -> tuple[str, float]:
    """The first test that fails on it, or nothing, and seconds that it took."""
    with tempfile.TemporaryDirectory() as name:
        folder, begin = planted(fault, Path(name)), time.time()
        path = os.pathsep.join(str(folder / part) for part in (".", "plugins", "adapters"))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "2", "--dist", "worksteal", "-m", MARKERS[tier]]
        command += [f"--hypothesis-profile={tier}", "-p", "no:cacheprovider", "tests"]
        command += [word for part in APART for word in ("--ignore", part)]
        environ = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        assert done.returncode in (0, 1, 2), done.stdout[-2000:] + done.stderr[-2000:]
        return (failed[0] if failed else ""), time.time() - begin


def main() -> int:
    """One row for each fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", choices=MARKERS, default="fast")
    parser.add_argument("--only", default="", help="words of the fault's name")
    args = parser.parse_args()
    missed = 0
    for fault in FAULTS:
        if args.only in fault.name:
            test, seconds = asked(fault, args.tier)
            missed += not test
            print(f"| {fault.name} | `{fault.file}` | {f'`{test}`' if test else '**not found**'} | {seconds:.0f} s |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
