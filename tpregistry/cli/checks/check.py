"""One line of the doctor's."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """What was looked at and found, and what mends it. ``state`` is ok, warn or fail."""

    area: str
    state: str
    text: str
    cure: str = ""
