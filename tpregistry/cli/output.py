"""What a command prints: results on stdout, notes on stderr; colours and rules on a terminal only, plain text elsewhere."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer

from tpregistry.progress import tell

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


class Cell(NamedTuple):
    """Text with a style that only a terminal shows."""

    text: str
    style: str = ""


GOOD, CAREFUL, BAD, QUIET, STRONG = "green", "yellow", "red", "dim", "bold"
Row = Sequence["Cell | str"]


def note(text: str) -> None:
    """A line on stderr."""
    tell(text)


def number(count: int, what: str) -> str:
    """``1 call``, ``1,200 calls``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def print_json(schema: str, data: dict[str, Any]) -> None:
    """The one object that --json prints; numbers that JSON does not have become null."""
    print(json.dumps({"schema": schema, **_finite(data)}, indent=1, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_line(*cells: Cell | str) -> None:
    """One line of cells, side by side."""
    if sys.stdout.isatty():
        _console().print(_text(*cells), soft_wrap=True)
    else:
        print(*(_cell(cell).text for cell in cells), sep="")


def print_heading(title: str, remark: str = "") -> None:
    """A title with an empty line above it, unless it is the first thing printed."""
    if _printed:
        print()
    _printed.append(title)
    print_line(Cell(title, STRONG), Cell(f"  {remark}" if remark else "", QUIET))


_printed: list[str] = []


def print_rows(rows: Sequence[Row], header: Sequence[str] = (), numbers: Sequence[int] = ()) -> None:
    """Rows in aligned columns, two spaces in; ``numbers`` are the columns that are aligned to the right."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(cells, header, numbers)
    else:
        _print_plain([[cell.text for cell in row] for row in cells], header, numbers)


def _print_plain(rows: list[list[str]], header: Sequence[str], numbers: Sequence[int]) -> None:
    lines = [list(header), *rows] if header else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (t.rjust(w) if i in numbers else t.ljust(w) for i, (t, w) in enumerate(zip(line, widths, strict=True)))
        print(("  " + "  ".join(padded)).rstrip())


def _print_rich(rows: list[list[Cell]], header: Sequence[str], numbers: Sequence[int]) -> None:
    from rich.table import Table  # 40 ms: only on a terminal

    table = Table(box=None, show_header=bool(header), header_style=QUIET, pad_edge=False, padding=(0, 2, 0, 0))
    for index in range(max(map(len, rows), default=0)):
        title = header[index] if header else ""
        table.add_column(title, justify="right" if index in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row))
    from rich.padding import Padding

    _console().print(Padding(table, (0, 0, 0, 2), expand=False))


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, markup=False)


def _text(*cells: Cell | str) -> Any:
    from rich.text import Text

    return Text.assemble(*((cell.text, cell.style) for cell in map(_cell, cells)))


def _cell(cell: Cell | str) -> Cell:
    return Cell(cell) if isinstance(cell, str) else cell
