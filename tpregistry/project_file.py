"""``[tool.tpregistry]`` of a file, where nobody but the user and root can have written it.

Settings say what runs and where files are written, and a program may be started in anybody's folder.
"""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path
from typing import Any

from tpregistry import trust

MOST = 4 * trust.MEGABYTE
UNREADABLE = (OSError, ValueError, RecursionError)
"""What a file that is no TOML raises; the last where it is nested too deep."""


def table_of(path: Path) -> Any:
    """What ``tool.tpregistry`` is there; an empty table, with a warning, where the file cannot be read or is not to be trusted."""
    try:
        return _table(trust.read(path, MOST, ours=True))
    except trust.Untrusted as error:
        if _speaks_of_us(path):
            cure = "set TP_* variables instead, or take the rights of others to write away (chmod go-w)"
            warnings.warn(f"tpregistry: [tool.tpregistry] of {path} is ignored: {error}; {cure}", stacklevel=3)
    except UNREADABLE as error:
        warnings.warn(f"tpregistry: {path} could not be read ({error}); its [tool.tpregistry] is ignored", stacklevel=3)
    return {}


def _speaks_of_us(path: Path) -> bool:
    """Whether a file that is not trusted would change anything, or cannot be asked."""
    try:
        return bool(_table(trust.read(path, MOST)))
    except trust.Untrusted:
        return True
    except UNREADABLE:
        return False


def _table(text: bytes) -> Any:
    tools = tomllib.loads(text.decode()).get("tool")
    return tools.get("tpregistry", {}) if isinstance(tools, dict) else {}
