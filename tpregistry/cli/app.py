"""The commands, and what they share at the edge: errors in one line, Ctrl-C, a stdout that takes nothing."""

from __future__ import annotations

import os
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tpregistry import __version__
from tpregistry.cli.after_dashes import AfterDashes, SubjectsOrProgram
from tpregistry.cli.autotune import autotune
from tpregistry.cli.bench import bench
from tpregistry.cli.cache import cache
from tpregistry.cli.doctor import doctor
from tpregistry.cli.edge import guarded
from tpregistry.cli.explain import explain
from tpregistry.cli.list_backends import list_backends
from tpregistry.cli.output import note
from tpregistry.cli.reason import reason
from tpregistry.cli.run import run as run_program
from tpregistry.cli.tradeoff import tradeoff
from tpregistry.cli.verify import verify
from tpregistry.errors import TPError

INTERRUPTED, CLOSED_PIPE = 130, 141


class Commands(TyperGroup):
    """All commands; what they raise on purpose becomes one line on stderr and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            raise SystemExit(CLOSED_PIPE) from None
        except TPError as error:
            note(f"error: {error}")
            raise SystemExit(2) from None


app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tpregistry {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """The fastest checked tensor product for every E(3)-equivariant program.

    Set TP_BACKEND=auto and run your program; these commands show, explain and prepare what then happens. Every command
    has --json and lists its exit codes in its --help.
    """


app.command("list", short_help="Backends and hosts, and what keeps one from use.")(list_backends)
app.command("doctor", short_help="Is everything in place? If not, what mends it.")(doctor)
app.command("explain", short_help="What would run for a problem, and why.")(explain)
app.command("autotune", cls=SubjectsOrProgram, short_help="Check and measure ahead of time.")(autotune)
app.command("run", cls=AfterDashes, short_help="Run a program, accelerated.")(run_program)
app.command("bench", short_help="Time every valid backend on a problem.")(bench)
app.command("tradeoff", short_help="Expressivity and time of each product on your irreps.")(tradeoff)
app.command("verify", short_help="Check a backend on the problem zoo.")(verify)
app.add_typer(cache, name="cache", short_help="Records and compiled code: list, show, remove.")
app.command("reason", short_help="What a reason code means, and what helps.")(reason)


def run() -> None:
    """Parse the command line and run it; always ends in SystemExit."""
    stock = warnings.showwarning

    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        """Warnings of ours are one calm line; those of others stay as they are."""
        text = str(message)
        ours = text.startswith("tpregistry:") or filename.startswith(os.path.dirname(os.path.dirname(__file__)))
        note(f"warning: {text.removeprefix('tpregistry: ')}") if ours else stock(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    with guarded():
        app(prog_name="tpregistry")
