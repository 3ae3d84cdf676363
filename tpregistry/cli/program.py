"""Running a program of the user's on his behalf: its options stay its own, its signals reach it, what it met is reported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tpregistry.cli import output
from tpregistry.cli.subjects import SubjectError

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What queues and terminals send to us and mean for the program."""

NOTHING_MET = (
    "the program met no tensor product of a known host that is not compiled (TorchScript, torch.compile and nequip-compile stay "
    "stock); see `tpregistry doctor` for the start-up hook"
)


@dataclass(frozen=True)
class Ran:
    """How a program ended, as a shell gives it; what its processes decided, calls added up; calls left to the host, and code
    of the program that holds stock functions.
    """

    code: int
    decisions: list[dict[str, Any]]
    left_to_host: Counter[str]
    out_of_reach: list[str]


def run_program(command: list[str], variables: Mapping[str, str], *, quiet: bool) -> Ran:
    """Run a program with variables added to the environment.

    With ``quiet`` standard output is ours alone, so the program writes to stderr. Raises SubjectError where there is none.
    """
    if os.environ.get("TP_REPORT"):
        output.note("warning: TP_REPORT is not written in this run; its place is taken")
    with tempfile.TemporaryDirectory(prefix="tpregistry-", ignore_cleanup_errors=True) as folder:
        reporting = {"TP_REPORT": os.path.join(folder, "{pid}.json")}  # each of its processes writes one
        code = _run(command, {**os.environ, **variables, **reporting}, quiet=quiet)
        return _added_up(code, _reports(Path(folder)))


def _added_up(code: int, reports: list[dict[str, Any]]) -> Ran:
    left = sum((Counter(report["left_to_host"]) for report in reports), Counter())
    held = list(dict.fromkeys(told for report in reports for told in report["out_of_reach"]))
    return Ran(code, _merged(reports), left, held)


def _reports(folder: Path) -> list[dict[str, Any]]:
    """What the program's processes wrote. One that was killed may have left half a report; the exit code counts all the same."""
    read = [_report(path) for path in sorted(folder.glob("*.json"))]
    whole = [report for report in read if report is not None]
    if len(whole) < len(read):
        lost = output.number(len(read) - len(whole), "report")
        output.note(f"warning: {lost} of the program's processes cannot be read; what they ran is not counted")
    return whole


def _report(path: Path) -> dict[str, Any] | None:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        _added_up(0, [report])
    except Exception:  # half of one, or a file of the program's own
        return None
    return report


def _run(command: list[str], environ: dict[str, str], *, quiet: bool) -> int:
    with _relay() as relay:
        try:
            process = subprocess.Popen(command, env=environ, stdout=sys.stderr if quiet else None)
        except OSError as error:
            raise SubjectError(f"{command[0]} cannot be run ({error.strerror})") from None
        relay.attach(process)
        code = process.wait()  # without limit: after a Ctrl-C a debugger goes on, and others save their work
    return 128 - code if code < 0 else code


class _Relay:
    """Sends signals on to a program; those that come before it runs wait for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[Any] | None = None
        self._early: list[int] = []
        self._interrupts = 0

    def __call__(self, number: int, _: object) -> None:
        if self._process is None:
            self._early.append(number)
        elif number == signal.SIGINT and _in_foreground():
            self._interrupts += 1
            if self._interrupts > 1:
                self._process.terminate()
        else:
            self._process.send_signal(number)

    def attach(self, process: subprocess.Popen[Any]) -> None:
        """The program runs."""
        self._process = process
        while self._early:
            process.send_signal(self._early.pop(0))


@contextmanager
def _relay() -> Iterator[_Relay]:
    """While it runs, signals that mean the program reach it, and we wait for what it makes of them.

    One that is ignored, as nohup has it, stays so for us and for the program.
    """
    relay = _Relay()
    heeded = [number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, relay) for number in heeded}
    try:
        yield relay
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Whether a terminal's Ctrl-C is for our process group: then the program has got it from the terminal already."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # the terminal is gone
        return False
    finally:
        os.close(terminal)


def _merged(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for one in (decision for report in reports for decision in report["decisions"]):
        known = merged.setdefault((one["digest"], one["backend"]), one | {"calls": 0})
        known["calls"] += one["calls"]
    return list(merged.values())
