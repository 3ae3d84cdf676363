"""`autotune -- CMD...`: a program runs once with measuring switched on, and reports what it met."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tpregistry.cli import output, tuned
from tpregistry.cli.program import NOTHING_MET, run_program
from tpregistry.settings import process_settings, resolve
from tpregistry.store import Record, open_store


def run(command: list[str], budget: str, *, again: bool, json: bool) -> int:
    """Run the program, print what it met, and give the exit code."""
    resolve({"budget": budget})  # a bad budget is our user's error, not the program's
    ran = run_program(command, variables(os.environ, budget, again), quiet=json)
    records = {record.problem.digest: record for record in sorted(_records(), key=lambda record: record.created)}
    problems = [one | _known(records.get(one["digest"])) for one in ran.decisions]
    _print(problems, ran.left_to_host, ran.code, json)
    return ran.code or (tuned.exit_code(problems) if problems else tuned.ONLY_HOST)


def variables(environ: Mapping[str, str], budget: str, again: bool) -> dict[str, str]:
    """What the program sees besides its environment."""
    return {"TP_BACKEND": environ.get("TP_BACKEND") or "auto", "TP_TUNE": "force" if again else "miss", "TP_BUDGET": budget}


def _records() -> list[Record]:
    settings = process_settings()
    return open_store(settings.cache_dir, settings.plugins).records()


def _known(record: Record | None) -> dict[str, Any]:
    """Without a record nobody but the host was able, or measuring was not allowed."""
    return {"host": record.host if record else "", "able": record is None} | tuned.evidence(record)


def _print(problems: list[dict[str, Any]], left: Counter[str], code: int, json: bool) -> None:
    if json:
        data = {"complete": code == 0, "exit_code": code, "problems": problems, "left_to_host": dict(left)}
        return output.print_json(tuned.SCHEMA, data)
    if not problems:
        output.note(NOTHING_MET)
    else:
        tuned.print_problems(problems, "Met", calls=True)
    if left:
        output.print_heading("Calls left to the host by rule")
        output.print_rows([[f"{count:,}", why] for why, count in left.most_common()], numbers=(0,))
