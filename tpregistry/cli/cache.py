"""``tpregistry cache``: the records and the compiled code that are kept, to look at and to remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tpregistry.cli import output
from tpregistry.cli.output import JsonFlag

if TYPE_CHECKING:
    from tpregistry.cli.kept import Kept

cache = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
SCHEMA = "tpregistry.cache"
DECLINED = 1

Digests = Annotated[list[str], typer.Argument(metavar="DIGEST...", help="Or its start, from 4 digits on.", show_default=False)]
Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Or its start, from 4 digits on.", show_default=False)]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
RecordsFlag = Annotated[bool, typer.Option("--records", help="Only the records.")]
CodeFlag = Annotated[bool, typer.Option("--code", help="Only the compiled code.")]


@cache.callback()
def about() -> None:
    """Look at and remove what is kept in TP_CACHE_DIR: records of tuning, and code that backends compiled.

    Records of a site and of installed databases are used, but neither listed nor removed.
    """


@cache.command("dir", short_help="The folder.")
def show_folder(json: JsonFlag = False) -> None:
    """Print the folder where records and code are kept; it may not exist yet.

    \b
    Exit code: 0.
    """
    from tpregistry.cli import kept

    root = kept.store().root
    output.print_json(f"{SCHEMA}.dir/1", {"folder": str(root), "exists": root.is_dir()}) if json else print(root)


@cache.command("ls", short_help="Every record, and how much code.")
def list_kept(json: JsonFlag = False) -> None:
    """List every record, newest first, and how much compiled code there is.

    \b
    Exit code: 0, also where nothing is kept.
    """
    from tpregistry.cli import kept, kept_text

    data = kept.everything()
    output.print_json(f"{SCHEMA}.ls/1", data) if json else kept_text.print_everything(data)


@cache.command("show", short_help="One record with all its evidence.")
def show_record(digest: Digest, json: JsonFlag = False) -> None:
    """Show the record of a problem, once for each environment that it was made in.

    `tpregistry explain DIGEST` shows what would be chosen now, with backends that came later.

    \b
    Exit codes:
      0  shown
      2  no record, or several, start with DIGEST
    """
    from tpregistry.cli import kept, kept_text

    found = kept.records_of(digest)
    if json:
        return output.print_json(f"{SCHEMA}.show/1", {"records": [record.to_json() for record in found.values()]})
    for record in found.values():
        kept_text.print_record(record)


@cache.command("rm", short_help="Remove records.")
def remove_records(digest: Digests, json: JsonFlag = False) -> None:
    """Remove the records of problems, those of every environment; they are tuned anew when they are met.

    \b
    Exit codes:
      0  removed
      2  no record, or several, start with a DIGEST: nothing is removed
    """
    from tpregistry.cli import kept

    records = {path: record for prefix in digest for path, record in kept.records_of(prefix).items()}
    _finish("rm", kept.remove(kept.Kept(list(records), [], [])), json)


@cache.command("clear", short_help="Remove everything that is kept.")
def clear(yes: YesFlag = False, records: RecordsFlag = False, code: CodeFlag = False, json: JsonFlag = False) -> None:
    """Remove all records and all compiled code, or with --records or --code only those. Asks on a terminal.

    What writers that were killed have left goes too, from an hour of age on, and with the records what backends that ended
    a process have left, so that they are tried again. Files that are not ours, or not whole, stay where they are.

    \b
    Exit codes:
      0  removed, or there was nothing
      1  you said no
      2  there is no terminal to ask on, and no --yes
    """
    from tpregistry.cli import kept

    both = records == code
    files = kept.chosen(records=records or both, code=code or both)
    if any(files) and not yes and not _agreed(files):
        output.note("nothing was removed")
        raise typer.Exit(DECLINED)
    _finish("clear", kept.remove(files), json)


def _agreed(files: Kept) -> bool:
    import sys

    from tpregistry.cli import kept, kept_text
    from tpregistry.errors import TPError

    what = f"{kept_text.counted(kept.measured(files))} from {kept.store().root}"
    if not sys.stdin.isatty():
        raise TPError(f"this would remove {what}: add --yes")
    print(f"Remove {what}? [y/N] ", end="", file=sys.stderr, flush=True)  # a prompt of typer's leaves a space on stdout
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _finish(command: str, removed: dict[str, Any], json: bool) -> None:
    from tpregistry.cli import kept_text

    if json:
        return output.print_json(f"{SCHEMA}.{command}/1", removed)
    counted = kept_text.counted(removed)
    output.print_line(f"removed {counted}" if counted else "nothing to remove")
