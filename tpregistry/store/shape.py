"""The shape of a record: a file may be valid JSON and damaged all the same, and what reads records relies on every field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

LARGE = 1e18
"""No time and no count is as large; an integer of JSON may be larger than any float."""

Fits = Callable[[Any], bool]


def check(data: Mapping[str, Any]) -> None:
    """Raise ValueError naming the first field that is not as `Record.to_json` writes it; one that is absent has a default."""
    _check("", data, RECORD)
    for entry in data["entries"]:
        _check("an entry's ", entry, ENTRY)
    names = [entry["backend"] for entry in data["entries"]]
    rounds = {len(entry["samples_us"]) for entry in data["entries"]} - {0}
    if len(rounds) > 1:
        raise ValueError(f"its entries have {sorted(rounds)} samples: it must be as many for each")
    if data.get("winner") not in (None, *names):
        raise ValueError(f"its winner {data['winner']!r} has no entry")


def _check(what: str, data: Any, kinds: Mapping[str, Fits]) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{what}{type(data).__name__} where an object must be")
    for name, fits in kinds.items():
        if name in data and not fits(data[name]):
            raise ValueError(f"{what}{name} is a {type(data[name]).__name__} that no record holds")


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _named_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_text, value.values()))


def _size(value: Any) -> bool:
    """Of seconds and counts."""
    return isinstance(value, (int, float)) and 0 <= value < LARGE


def _samples(value: Any) -> bool:
    return isinstance(value, list) and all(one is None or (_size(one) and one > 0) for one in value)


def _errors(value: Any) -> bool:
    """By check, the error and what is allowed; neither need be finite."""
    return isinstance(value, dict) and all(isinstance(pair, list) and _pair(*pair) for pair in value.values())


def _pair(*numbers: Any) -> bool:
    return len(numbers) == 2 and all(isinstance(one, float) or _size(one) for one in numbers)


RECORD: dict[str, Fits] = {
    "environment": _named_texts,
    "host": _text,
    "entries": lambda value: isinstance(value, list),
    "winner": lambda value: value is None or _text(value),
    "batch": lambda value: isinstance(value, int) and _size(value),
    "seconds": _size,
    "created": _text,
    "tpregistry": _text,
    "starts": lambda value: isinstance(value, int) and _size(value),
}
ENTRY: dict[str, Fits] = {
    "backend": _text,
    "outcome": _text,
    "versions": _named_texts,
    "engine": _text,
    "reasons": _texts,
    "evidence": _errors,
    "samples_us": _samples,
    "build_seconds": _size,
    "digest": _text,
}
