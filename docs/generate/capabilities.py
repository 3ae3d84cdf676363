"""What each installed backend can do, by asking its `supports` about the problem zoo, as a program would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from generate.markdown import code, table
from generate.reasons import link
from tpregistry.backend import Reason
from tpregistry.cli.list_backends import describe
from tpregistry.discovery import Plugin
from tpregistry.discovery import backends as installed
from tpregistry.problem import DTYPES, Mode, Problem
from tpregistry.settings import Settings
from tpregistry.testing import zoo
from tpregistry.verdicts import examine

DEVICES = ("cpu", "cuda")
ORDERS = (0, 1, 2)
PLUGINS = installed(Settings())


@dataclass(frozen=True)
class Asked:
    """Some problems of the zoo by name, and the device that they are meant for."""

    title: str
    problems: dict[str, Problem]
    device: str = "cpu"


def backends() -> str:
    """Every installed backend, as it speaks of itself."""
    said = [describe(plugin) for plugin in PLUGINS.values()]
    header = ("name", "family", "status", "what it does", "frameworks", "operations", "needs", "licence")
    return table(header, [_said(one) for one in said])


def _said(one: dict[str, Any]) -> tuple[str, ...]:
    """What a broken backend cannot say stays empty."""
    lists = [", ".join(one[name] or ()) for name in ("frameworks", "operations", "requires")]
    return (code(one["name"]), code(one["family"]), one["status"], one["summary"] or "", *lists, one["licence"] or "")


def verdicts() -> str:
    """Tables by mode, by device and dtype, and by order of derivatives, then every reason against."""
    tables = {"Modes": _modes(), "Devices and dtypes": _places(), "Derivatives": _orders()}
    parts = [f"## {title}\n\n{_table(asked)}" for title, asked in tables.items()]
    every = [one for asked in tables.values() for one in asked]
    return "\n\n".join([*parts, f"## Reasons\n\n{_reasons(every)}"])


def _modes() -> list[Asked]:
    """Each mode with weights per sample and shared."""
    problems = zoo()
    return [Asked(code(mode), {k: v for k, v in problems.items() if k.startswith(f"mode {mode}, ")}) for mode in Mode]


def _places() -> list[Asked]:
    return [Asked(f"{device} {dtype}", zoo(dtype), device) for device in DEVICES for dtype in DTYPES]


def _orders() -> list[Asked]:
    return [Asked(str(n), {k: v.at(derivatives=n) for k, v in zoo().items()}) for n in ORDERS]


def _table(asked: list[Asked]) -> str:
    rows = [(code(name), *(_cell(one, name) for one in asked)) for name in PLUGINS]
    return table(("backend", *(one.title for one in asked)), rows)


def _cell(asked: Asked, name: str) -> str:
    """Yes, or how many of the problems, and the codes that speak against the others."""
    found = [_reasons_of(problem, name, asked.device) for problem in asked.problems.values()]
    able = sum(not reasons for reasons in found)
    codes = ", ".join(link(one) for one in dict.fromkeys(reason.code for reasons in found for reason in reasons))
    return "yes" if able == len(found) else f"{able} of {len(found)}: {codes}" if able else f"no: {codes}"


@cache
def _reasons_of(problem: Problem, name: str, device: str) -> tuple[Reason, ...]:
    plugin = PLUGINS[name]
    framework = plugin.face.frameworks[0] if plugin.face else ""
    host = next((one.name for one in PLUGINS.values() if _is_host(one, framework)), "")
    (candidate,) = examine(problem, {name: plugin}, framework, device, name if _is_host(plugin, framework) else host)
    return candidate.reasons


def _is_host(plugin: Plugin, framework: str) -> bool:
    return bool(plugin.face and plugin.face.host and framework in plugin.face.frameworks)


def _reasons(asked: list[Asked]) -> str:
    """The first message of each code that a backend gives, and the problem that it was given for."""
    first: dict[tuple[str, str], str] = {}
    for name, reason, problem in _given(asked):
        first.setdefault((name, reason.code), f"- `{name}`, {link(reason.code)}: {reason.message} (*{problem}*)")
    return "\n".join(first.values()) or "None."


def _given(asked: list[Asked]) -> Iterator[tuple[str, Reason, str]]:
    for name in PLUGINS:
        for one in asked:
            for title, problem in one.problems.items():
                yield from ((name, reason, title) for reason in _reasons_of(problem, name, one.device))
