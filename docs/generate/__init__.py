"""The parts of the documentation that the program itself writes: each a function that returns Markdown."""

from __future__ import annotations

from collections.abc import Callable

from generate import capabilities, commands, figures, gate, protocol, reasons, settings, source

SECTIONS: dict[str, Callable[..., str]] = {
    "backends": capabilities.backends,
    "capabilities": capabilities.verdicts,
    "checks": gate.checks,
    "commands": commands.every,
    "demo": figures.demo,
    "faults": gate.faults,
    "file": source.file,
    "kernels": figures.kernels,
    "machine": figures.machine,
    "protocol": protocol.every,
    "reasons": reasons.every,
    "rule": gate.rule,
    "settings": settings.every,
    "sources": gate.sources,
    "tolerances": gate.tolerances,
    "values": settings.values,
}
"""What may stand after ``:::`` in a page."""
