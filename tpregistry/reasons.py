"""Every reason code of ours: what it means, where it comes from, what helps.

Tens group them: 11 what a backend is made for, 12 what its kernels can do, 13 what a host can do, 15 and 16 whether a plugin
can be used at all, 17 to 19 what became of a candidate. Plugins of others choose a prefix of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tpregistry.errors import TPError
from tpregistry.settings import edits


@dataclass(frozen=True)
class Meaning:
    """A code, explained."""

    code: str
    title: str
    cause: str
    cure: str


class UnknownCode(TPError, LookupError):
    """A code that is not explained here; the message says where it is."""


_MEANINGS = (
    Meaning(
        "TP110",
        "made for another framework",
        "The face of the backend does not name the framework of your program (torch or jax).",
        "Nothing to mend: another backend is taken. `tpregistry list` shows the frameworks of each.",
    ),
    Meaning(
        "TP111",
        "made for another operation",
        "The backend computes other operations than the one of this problem; two operations never stand in for each other.",
        "Choose a backend of this operation, or leave TP_BACKEND=auto.",
    ),
    Meaning(
        "TP112",
        "another host's own code",
        "The backend is the stock code of a host, and this problem comes from a program of another host.",
        "Name your own host in TP_BACKEND, or leave it out.",
    ),
    Meaning(
        "TP120",
        "does not run on this device",
        "The backend has no kernels for the device that the operands lie on.",
        "Move the model to a device that the message names, or choose another backend.",
    ),
    Meaning(
        "TP121",
        "does not compute in this dtype",
        "The backend has no kernels for the dtype of the operands.",
        "Run the model in a dtype that the message names, or choose another backend.",
    ),
    Meaning(
        "TP122",
        "its library cannot be used here",
        "The library that the backend stands on is installed, but cannot be imported, or was built without what it needs.",
        "The message carries the library's own error; reinstall it in a build for your torch, driver and device.",
    ),
    Meaning(
        "TP123",
        "does not do these connection modes",
        "The backend has no kernels for a mode of the problem's paths, or not for several modes at once.",
        "Nothing to mend: another backend is taken. `tpregistry explain` shows which can do the problem.",
    ),
    Meaning(
        "TP124",
        "wants a weight for every path",
        "Some paths of the problem have no weights, and the backend's kernels always multiply by one.",
        "Nothing to mend: another backend is taken. `tpregistry explain` shows which can do the problem.",
    ),
    Meaning(
        "TP125",
        "does not take irreps or coefficients of this kind",
        "The backend has a limit of its own: pieces without copies or without a path, no paths at all, or rounded coefficients.",
        "The message names it. Another backend is taken; where it names a piece that nothing uses, leave that out of the model.",
    ),
    Meaning(
        "TP126",
        "does not add up as is asked for",
        "The backend adds up by atomic operations, in no fixed order, and deterministic algorithms are asked for; or its sums over "
        "a graph have a limit of their own.",
        "Another backend is taken. Turn deterministic algorithms off where you can do without.",
    ),
    Meaning(
        "TP130",
        "the host has no such module",
        "The host cannot express the problem, so its own code can neither run it nor be the yardstick for others.",
        "Such problems never come from a live module; where you wrote one yourself, change what the message names.",
    ),
    Meaning(
        "TP150",
        "not allowed by TP_PLUGINS",
        "TP_PLUGINS names other plugins, or forbids this one with '!', so it is not even imported.",
        "Add its name to TP_PLUGINS, or unset the variable.",
    ),
    Meaning(
        "TP151",
        "offered twice",
        "Several installed distributions offer a backend of this name; none of them is taken, for either may be the wrong one.",
        "Uninstall all but one; `pip list` shows them.",
    ),
    Meaning(
        "TP152",
        "the plugin is broken",
        "Importing it raised, or what it offers is not a backend: it lacks a face, supports or build, or has another plugin API.",
        "Reinstall or update the distribution that brings it; `tpregistry verify NAME` shows each fault.",
    ),
    Meaning(
        "TP160",
        "needs a library that is not installed",
        "The face of the backend requires a distribution that is not in this environment.",
        "Install it with pip, or do without this backend.",
    ),
    Meaning(
        "TP170",
        "not built within the budget",
        "By the backend's own estimate, building would have ended after TP_BUDGET.",
        "Run `tpregistry autotune` once, or raise TP_BUDGET.",
    ),
    Meaning(
        "TP171",
        "slower than the host in part",
        "It was the fastest with gradients, but slower than your own code without them. In JAX a call is decided while it is "
        "traced, before anyone knows whether gradients are taken, so it must not be slower in either.",
        "Nothing to mend: the next is taken. Where your program always takes gradients, name the backend in TP_BACKEND.",
    ),
    Meaning(
        "TP180",
        "raised an error",
        "The backend said that it can do the problem, and then raised while it was built or called.",
        "Report it to those who wrote the backend; until then '!NAME' in TP_BACKEND leaves it out.",
    ),
    Meaning(
        "TP181",
        "raised when asked",
        "The `supports` of the backend raised instead of answering.",
        "Report it to those who wrote the backend; until then '!NAME' in TP_PLUGINS keeps it from being imported.",
    ),
    Meaning(
        "TP182",
        "ended a process",
        "While this backend, in these versions, was built or called for the gate, a fatal error (a segmentation fault, an abort) "
        "ended the process. It is left out until it is updated.",
        "The file that the message names holds the stacks: report it to those who wrote the backend. Delete it, or run `tpregistry "
        "cache clear --records`, to have the backend tried again.",
    ),
    Meaning(
        "TP190",
        "failed the gate",
        "Its numbers on this very problem are further from the float64 of your model's own code than is allowed, or it changes or "
        "hands back its inputs.",
        "Never used here. `tpregistry explain` names the check with its error; report that to those who wrote the backend.",
    ),
)
MEANINGS = {meaning.code: meaning for meaning in _MEANINGS}


def meaning(code: str) -> Meaning:
    """What a code means, in any case. Raises UnknownCode, which names the nearest code or says whose it is."""
    known = MEANINGS.get(code.upper())
    if known is None:
        raise UnknownCode(_unknown(code.upper()))
    return known


def _unknown(code: str) -> str:
    if re.fullmatch(r"[A-Z]+-?\d+", code) and not code.startswith("TP"):
        return f"{code} is not a code of tpregistry but of a plugin; `tpregistry explain` shows it with its message and hint"
    near = min(MEANINGS, key=lambda known: (edits(code, known), abs(_number(code) - _number(known))))
    return f"there is no code {code!r}. Did you mean {near}? `tpregistry reason` lists all"


def _number(code: str) -> int:
    return int("".join(filter(str.isdecimal, code)) or 0)
