"""Reason codes, from `tpregistry.reasons`."""

from __future__ import annotations

from tpregistry.reasons import MEANINGS, Meaning


def every() -> str:
    """A section for each code, under its own anchor."""
    return "\n\n".join(map(_section, MEANINGS.values()))


def link(reason_code: str) -> str:
    """A code that leads to its section; one of another plugin stays plain."""
    return f"[{reason_code}](reasons.md#{reason_code.lower()})" if reason_code in MEANINGS else reason_code


def _section(one: Meaning) -> str:
    return f"## {one.code}: {one.title} {{ #{one.code.lower()} }}\n\n{one.cause}\n\n**What helps.** {one.cure}"
