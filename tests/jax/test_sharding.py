"""Programs over several devices: each device computes its own samples, and nothing else about the program changes.

They run in a process of their own, which has four.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xla

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program says of each of its programs."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TP_")}
    environ |= {"TP_BACKEND": "cg-llvm", "TP_LOG": "off", "TP_CACHE_DIR": str(tmp_path_factory.mktemp("records"))}
    command = [sys.executable, str(HERE / "programs" / "sharded.py"), "cg-llvm"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    lines = (json.loads(line) for line in done.stdout.splitlines())
    return {name if isinstance(name, str) else ", ".join(map(str, name)): found for name, found in lines}


FUNCTIONS = ["called", "called, added to a sharded array", "called, gradient", "called, in a scan", "mapped", "mapped, gradient"]
FUNCTIONS += ["mapped, training on forces", "mapped, tangent", "mapped, checkpoint"]
CONVOLUTIONS = ["convolved", "convolved, training on forces"]
SOME = ["called", "mapped, training on forces"]
DIVIDED = [f"{kind}, all, {name}, 16" for kind in ("Auto", "Explicit") for name in FUNCTIONS]
DIVIDED += [f"Auto, {rows}, {name}, 16" for rows in ("outer", "inner", "turned") for name in SOME]
DIVIDED += ["Auto, outer, mapped, training on forces, 6"]


@pytest.mark.parametrize("name", DIVIDED)
def test_each_device_computes_its_own_samples(name: str, said: dict[str, Any]) -> None:
    """No operand is gathered; gradients of weights that all samples share are added up, in one go."""
    found = said[name]
    assert found["far"] <= 1e-5 * max(1.0, found["scale"])
    assert found["sharded alike"]
    assert found["types alike"]
    weights = "mapped" in name and any(word in name for word in ("gradient", "training", "checkpoint"))
    assert found["collectives"] == {"all-gather": 0, "all-reduce": int(weights), "all-to-all": 0}
    assert found["calls"] >= 1


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_edges_stay_where_they_are(name: str, said: dict[str, Any]) -> None:
    """Nodes are gathered, once, as any edge may read any of them."""
    found = said[f"Auto, all, {name}, 16"]
    assert found["far"] <= 1e-5 * max(1.0, found["scale"])
    assert found["sharded alike"]
    assert found["collectives"]["all-gather"] == 1


@pytest.mark.parametrize("name", SOME)
def test_components_that_are_sharded_are_gathered(name: str, said: dict[str, Any]) -> None:
    found = said[f"Auto, columns, {name}, 16"]
    assert found["far"] <= 1e-5 * max(1.0, found["scale"])


def test_the_name_of_a_call_tells_what_it_computes(said: dict[str, Any]) -> None:
    """The persistent cache of programs knows a divided call by nothing else that lasts."""
    one, other = said["names"]
    assert one
    assert not set(one) & set(other)
