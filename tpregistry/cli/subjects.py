"""What `explain` and `autotune` are asked about: irreps, a JSON file, a record in the store, or a saved torch module."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tpregistry.errors import TPError
from tpregistry.from_irreps import problem_from_irreps
from tpregistry.irreps import Irreps
from tpregistry.problem import DTYPES, Mode, Problem

MODULE_SUFFIXES = (".pt", ".pth", ".model")
FORMS = "SUBJECT is IN1 IN2 [OUT], or FILE.json, or a record's digest, or FILE.pt with --trust"

ModeOption = Annotated[str, typer.Option("--mode", help=f"For irreps: {', '.join(Mode)}.")]
DtypeOption = Annotated[str | None, typer.Option("--dtype", help=f"{', '.join(DTYPES)} [irreps: float32; else the subject's].")]
BatchOption = Annotated[int | None, typer.Option("--batch", min=1, help="Samples per call [irreps: 1024; else the subject's].")]
DerivativesOption = Annotated[
    int | None, typer.Option("--derivatives", min=0, max=2, help="0: energies, 1: forces, 2: training on forces [the subject's].")
]
SharedOption = Annotated[
    bool | None, typer.Option("--shared/--per-sample", help="For irreps: weights [per sample for uvu, shared for other modes].")
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1...")]
TrustOption = Annotated[bool, typer.Option("--trust", help="Load a saved module; that runs code which its file holds.")]


class SubjectError(TPError, ValueError):
    """What was asked about cannot be read; the message says which forms can."""


@dataclass(frozen=True)
class Options:
    """How subjects are read."""

    mode: str = "uvu"
    dtype: str | None = None
    shared: bool | None = None
    device: str = "cpu"
    trust: bool = False


def read_subjects(words: list[str], options: Options) -> list[Any]:
    """Problems and torch modules, in the order in which they were named. Raises SubjectError."""
    if not words:
        raise SubjectError(f"nothing was named. {FORMS}")
    check_dtypes([options.dtype] if options.dtype else [])
    if are_irreps(words):
        return [_from_irreps(words, options)]
    return [subject for word in words for subject in _named(word, options)]


def are_irreps(words: list[str]) -> bool:
    """Whether the subject is IN1 IN2 [OUT]."""
    return 2 <= len(words) <= 3 and not any(_is_file(word) or _is_digest(word) for word in words)


def check_dtypes(dtypes: Sequence[str]) -> None:
    """Raise SubjectError where one of them means nothing."""
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise SubjectError(f"dtype {dtype!r}: use one of {', '.join(DTYPES)}")


def check_device(device: str) -> None:
    """Raise SubjectError where torch has no such device."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except Exception as error:  # RuntimeError, AssertionError...: which one depends on how torch was built
        raise SubjectError(f"--device {device} cannot be used ({_brief(error)})") from None


def _from_irreps(words: list[str], options: Options) -> Problem:
    try:
        mode = Mode(options.mode)
    except ValueError:
        raise SubjectError(f"mode {options.mode!r}: use one of {', '.join(Mode)}") from None
    shared = mode is not Mode.UVU if options.shared is None else options.shared
    in1, in2, *out = words
    try:
        dtype = options.dtype or "float32"
        return problem_from_irreps(in1, in2, out[0] if out else None, mode, shared_weights=shared, dtype=dtype)
    except ValueError as error:
        raise SubjectError(str(error)) from None


def _named(word: str, options: Options) -> list[Any]:
    path = Path(word).expanduser()
    if path.is_dir():
        raise SubjectError(f"{word} is a folder. {FORMS}")
    if path.is_file():
        return [_module(path, options)] if path.suffix in MODULE_SUFFIXES else _cast(_from_json(path), options)
    if _is_file(word):
        raise SubjectError(f"there is no file {word}")
    if _is_digest(word):
        return _cast([_from_store(word)], options)
    raise SubjectError(f"{word!r} is no file, no digest, and alone no product of irreps. {FORMS}")


def _cast(problems: list[Problem], options: Options) -> list[Problem]:
    return [problem.at(dtype=options.dtype) for problem in problems] if options.dtype else problems


def _is_file(word: str) -> bool:
    return "/" in word or Path(word).suffix in (".json", *MODULE_SUFFIXES) or Path(word).exists()


def _is_digest(word: str) -> bool:
    return bool(re.fullmatch("[0-9a-f]{4,24}", word)) and not _is_irreps(word)


def _is_irreps(word: str) -> bool:
    try:
        return len(Irreps.parse(word)) > 0
    except ValueError:
        return False


def _from_json(path: Path) -> list[Problem]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return [Problem.from_json(part.get("problem", part)) for part in (data if isinstance(data, list) else [data])]
    except Exception as error:  # a file may hold anything
        raise SubjectError(f"{path} does not hold a problem ({_brief(error)}); write one with Problem.to_json()") from None


def _from_store(prefix: str) -> Problem:
    from tpregistry.cli.kept import records_of  # 40 ms: only where a digest is named

    return next(iter(records_of(prefix).values())).problem


def _module(path: Path, options: Options) -> Any:
    """A saved module, on the device and in the dtype that were asked for."""
    if not options.trust:
        raise SubjectError(f"{path} is a pickle, and loading it runs the code in it: add --trust if you know where it comes from")
    import torch

    try:
        loaded = torch.load(path, map_location=options.device, weights_only=False)
    except Exception as error:  # a pickle may raise anything
        raise SubjectError(f"{path} could not be loaded ({_brief(error)})") from None
    if not isinstance(loaded, torch.nn.Module):
        raise SubjectError(f"{path} holds a {type(loaded).__name__}, not a torch module: save the module itself with torch.save")
    return loaded.to(dtype=getattr(torch, options.dtype)) if options.dtype else loaded


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
