"""`autotune -- CMD...`: a program runs once with measuring switched on, and reports what it met."""

from __future__ import annotations

import json as codec
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tpregistry.cli import output, tuned
from tpregistry.cli.subjects import SubjectError
from tpregistry.settings import process_settings, resolve
from tpregistry.store import Record, open_store

PATIENCE = 10
"""Seconds that a program gets to end after Ctrl-C, so that it can write its report."""


def run(command: list[str], budget: str, *, again: bool, json: bool) -> int:
    """Run the program, print what it met, and give the exit code."""
    resolve({"budget": budget})  # a bad budget is our user's error, not the program's
    if os.environ.get("TP_REPORT"):
        output.note("warning: TP_REPORT is not written in this run; its place is taken")
    with tempfile.TemporaryDirectory(prefix="tpregistry-") as folder:
        code = _run(command, environment(os.environ, budget, again, folder), quiet=json)
        reports = [codec.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.json"))]
    problems, left = met(reports), sum((Counter(report["left_to_host"]) for report in reports), Counter())
    _print(problems, left, code, json)
    return code or (tuned.exit_code(problems) if problems else tuned.ONLY_HOST)


def environment(environ: Mapping[str, str], budget: str, again: bool, folder: str) -> dict[str, str]:
    """What the program sees. Each of its processes writes a report of its own."""
    asked = environ.get("TP_BACKEND") or "auto"
    ours = {"TP_BACKEND": asked, "TP_TUNE": "force" if again else "miss", "TP_BUDGET": budget}
    return {**environ, **ours, "TP_REPORT": os.path.join(folder, "{pid}.json")}


def _run(command: list[str], environ: dict[str, str], *, quiet: bool) -> int:
    """The exit code as a shell gives it. With --json, standard output is ours alone, so the program writes to stderr."""
    try:
        process = subprocess.Popen(command, env=environ, stdout=sys.stderr if quiet else None)
    except OSError as error:
        raise SubjectError(f"{command[0]} cannot be run ({error.strerror})") from None
    try:
        code = process.wait()
    except KeyboardInterrupt:  # a terminal sends it to the program as well
        code = _wind_down(process)
    return 128 - code if code < 0 else code


def _wind_down(process: subprocess.Popen[Any]) -> int:
    try:
        process.wait(PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.terminate()
        process.wait()
    return -signal.SIGINT


def met(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The problems of all processes, calls added up, with what the store holds of them."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for one in (decision for report in reports for decision in report["decisions"]):
        known = merged.setdefault((one["digest"], one["backend"]), one | {"calls": 0})
        known["calls"] += one["calls"]
    records = {record.problem.digest: record for record in sorted(_records(), key=lambda record: record.created)}
    return [one | _known(records.get(one["digest"])) for one in merged.values()]


def _records() -> list[Record]:
    return open_store(process_settings().cache_dir).records()


def _known(record: Record | None) -> dict[str, Any]:
    """Without a record nobody but the host was able, or measuring was not allowed."""
    return {"host": record.host if record else "", "able": record is None} | tuned.evidence(record)


def _print(problems: list[dict[str, Any]], left: Counter[str], code: int, json: bool) -> None:
    if json:
        data = {"complete": code == 0, "exit_code": code, "problems": problems, "left_to_host": dict(left)}
        return output.print_json(tuned.SCHEMA, data)
    if not problems:
        output.note("the program met no tensor product of a known host; see `tpregistry doctor` for the start-up hook")
    else:
        tuned.print_problems(problems, "Met", calls=True)
    if left:
        output.print_heading("Calls left to the host by rule")
        output.print_rows([[f"{count:,}", why] for why, count in left.most_common()], numbers=(0,))
