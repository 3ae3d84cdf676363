"""What mkdocs calls: a line ``::: name arguments`` of a page becomes what `generate` writes; plots come from benchmarks."""

from __future__ import annotations

import re
from typing import Any

from mkdocs.structure.files import File

from generate import SECTIONS
from generate.source import ROOT

LINE = re.compile(r"^::: (\S+) ?(.*)$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the generated parts; a name that is not in SECTIONS ends the build."""
    return LINE.sub(lambda found: SECTIONS[found[1]](*filter(None, [found[2].strip()])), markdown)


def on_files(files: Any, config: Any) -> Any:
    """Plots lie where they were drawn."""
    for plot in sorted((ROOT / "benchmarks" / "results").glob("*.png")):
        files.append(File.generated(config, f"plots/{plot.name}", abs_src_path=str(plot)))
    return files
