"""Whether backends can do a problem: what their faces say, then what their `supports` says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tpregistry.backend import Backend, Face, Reason, Verdict
from tpregistry.building import aside, parts_of
from tpregistry.discovery import Plugin
from tpregistry.isolation import kept
from tpregistry.problem import Problem
from tpregistry.select import Candidate


def examine(problem: Problem, plugins: dict[str, Plugin], framework: str, device: str, host: str) -> tuple[Candidate, ...]:
    """Every backend's verdict on a problem, with all reasons; a `supports` that raises is a reason."""
    return tuple(_candidate(problem, plugin, framework, device, host) for plugin in plugins.values())


def _candidate(problem: Problem, plugin: Plugin, framework: str, device: str, host: str) -> Candidate:
    trouble, backend = plugin.trouble, plugin.backend
    verdict = verdict_of(backend, problem, framework, device, host, trouble) if backend else Verdict(trouble)
    versions = tuple(sorted(plugin.versions.items()))
    is_host = plugin.name == host
    return Candidate(plugin.name, plugin.family, is_host, verdict.reasons, verdict.build_seconds, versions, verdict.on_request)


def verdict_of(
    backend: Backend, problem: Problem, framework: str, device: str, host: str, trouble: tuple[Reason, ...] = ()
) -> Verdict:
    """What its face says and, where that and ``trouble`` are no reason against, what its `supports` says of every part."""
    parts = parts_of(backend.face, problem)
    misfits = [reason for part in parts for reason in _misfits(backend.face, part, framework, host)]
    reasons = tuple(dict.fromkeys((*trouble, *misfits)))
    if reasons:
        return Verdict(reasons)
    try:
        with kept(), aside():
            return _together([_said(backend.supports(part, device, framework)) for part in parts])
    except (Exception, SystemExit) as error:  # a plugin may raise anything; it is left out with its reason
        return Verdict((Reason("TP181", f"{backend.face.name}.supports raised {type(error).__name__}: {error}"),))


def _said(answer: Any) -> Verdict:
    if not isinstance(answer, Verdict):
        raise TypeError(f"it returned {answer!r}, not a Verdict")
    seconds = answer.build_seconds
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise TypeError(f"build_seconds of its Verdict is {seconds!r}, not a finite number")
    if not isinstance(answer.on_request, str):
        raise TypeError(f"on_request of its Verdict is {answer.on_request!r}, not a string")
    return answer


def _together(verdicts: Sequence[Verdict]) -> Verdict:
    """All reasons, the whole build time, and the first word on why it is not worth a try."""
    reasons = dict.fromkeys(reason for verdict in verdicts for reason in verdict.reasons)
    on_request = next((verdict.on_request for verdict in verdicts if verdict.on_request), "")
    return Verdict(tuple(reasons), sum(verdict.build_seconds for verdict in verdicts), on_request)


def _misfits(face: Face, problem: Problem, framework: str, host: str) -> list[Reason]:
    other = [Reason("TP112", f"{face.name} is another host's own code, not {host}'s")] if face.host and face.name != host else []
    return [
        *_mismatch(face.name, face.frameworks, framework, "framework", "TP110"),
        *_mismatch(face.name, face.operations, problem.operation, "operation", "TP111"),
        *other,
    ]


def _mismatch(name: str, offered: tuple[str, ...], wanted: str, what: str, code: str) -> list[Reason]:
    return [] if wanted in offered else [Reason(code, f"{name} is for {what} {', '.join(offered)}, not {wanted}")]
