"""The manners of a plugin. Its light face is imported in every program that lists backends, so it must be quick and quiet."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tpregistry.bootstrap import FRAMEWORKS

ALLOWED_SECONDS = 0.2
PATIENCE = 60


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, whether it is as it should be, and what was seen."""

    name: str
    ok: bool
    text: str


def hygiene(point_name: str) -> tuple[Finding, ...]:
    """Load the backend of an entry point in a process of its own, and look what that imports, prints and takes."""
    path = os.pathsep.join(filter(None, sys.path))  # what is found here is found there
    with tempfile.TemporaryDirectory(prefix="tpregistry-") as folder:
        file = Path(folder) / "seen.json"
        command = [sys.executable, "-P", str(Path(__file__).with_name("probe.py")), point_name, str(file)]
        try:
            environ = os.environ | {"PYTHONPATH": path}
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environ)
        except subprocess.TimeoutExpired:
            return (Finding("imports", False, f"its import takes more than {PATIENCE} s"),)
        if not file.is_file():
            last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
            return (Finding("imports", False, f"its import ends the process with code {done.returncode}: {last}"),)
        return _findings(point_name, json.loads(file.read_text(encoding="utf-8")), done.stdout)


def _findings(name: str, seen: dict[str, Any], written: str) -> tuple[Finding, ...]:
    light = () if seen["face"] is None else (_light(seen["face"], seen["imported"]),)
    return (_face(name, seen["face"], seen["fault"]), *light, _quiet(written), _quick(seen["seconds"]))


def _face(name: str, face: dict[str, Any] | None, fault: str) -> Finding:
    if face is None:
        return Finding("face", False, fault)
    if face["name"] != name:
        return Finding("face", False, f"its face says {face['name']!r}, its entry point {name!r}: name both alike")
    return Finding("face", True, f"{name} of family {face['family']}, plugin API {face['api']}")


def _light(face: dict[str, Any], imported: dict[str, list[str]]) -> Finding:
    heavy = {_canonical(name) for name in (*FRAMEWORKS, *face["requires"])}
    found = sorted(module for module, brought in imported.items() if heavy & {_canonical(name) for name in (module, *brought)})
    if found:
        return Finding("light", False, f"imports {', '.join(found)}: import what is heavy where `build` needs it")
    return Finding("light", True, f"imports neither a framework nor what it requires ({', '.join(face['requires']) or 'nothing'})")


def _canonical(distribution: str) -> str:
    return re.sub("[-_.]+", "-", distribution).lower()


def _quiet(written: str) -> Finding:
    if written:
        return Finding("quiet", False, f"writes to stdout, which belongs to the program: {written.strip()[:60]!r}")
    return Finding("quiet", True, "writes nothing to stdout")


def _quick(seconds: float) -> Finding:
    text = f"takes {1e3 * seconds:.0f} ms of processor time (allowed: {1e3 * ALLOWED_SECONDS:.0f})"
    return Finding("quick", seconds < ALLOWED_SECONDS, text)
