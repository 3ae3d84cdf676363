"""Files of the repository as they are, so that nothing is written twice."""

from __future__ import annotations

from pathlib import Path

from generate.markdown import block

ROOT = Path(__file__).parents[2]
LANGUAGES = {".py": "python", ".toml": "toml"}


def file(name: str) -> str:
    """A file of the repository, under its name."""
    path = ROOT / name
    return f"`{name}`\n\n{block(path.read_text(encoding='utf-8'), LANGUAGES.get(path.suffix, 'text'))}"
