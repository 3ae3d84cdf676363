"""The documentation builds without a warning, and holds every command, option, setting, reason code and backend."""

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tpregistry import discovery
from tpregistry.cli.app import app
from tpregistry.problem import Mode
from tpregistry.reasons import MEANINGS
from tpregistry.settings import VARIABLES, Settings

pytest.importorskip("material", reason="mkdocs-material is not installed: pip install -e '.[dev]'")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-f", str(ROOT / "docs" / "mkdocs.yml")]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([*command, "-d", str(folder)], env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


def page(site: Path, name: str) -> str:
    return (site / f"{name}.html").read_text()


def text(site: Path, name: str) -> str:
    return html.unescape(re.sub("<[^>]*>", "", page(site, name)))


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield prefix + name, command
        yield from commands(command, f"{prefix}{name}-") if hasattr(command, "commands") else ()


@pytest.mark.processes
def test_every_command_with_every_option(site: Path) -> None:
    whole, said = page(site, "commands"), text(site, "commands")
    for name, command in commands(typer.main.get_command(app)):
        assert re.search(f'<h[23] id="{name}">', whole), name
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {option for option in options if option.startswith("-") and option not in said} == set(), name


@pytest.mark.processes
def test_every_setting(site: Path) -> None:
    assert {variable for variable in VARIABLES.values() if variable not in text(site, "settings")} == set()


@pytest.mark.processes
def test_every_reason_code(site: Path) -> None:
    assert set(re.findall(r'<h2 id="(tp\d+)">', page(site, "reasons"))) == {code.lower() for code in MEANINGS}


@pytest.mark.processes
def test_every_backend_in_every_mode(site: Path) -> None:
    modes = page(site, "capabilities").partition('<h2 id="modes">')[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", modes, re.DOTALL)[1:]
    cells = {re.findall("<code>(.*?)</code>", row)[0]: len(re.findall("<td>(yes|no|[0-9]+ of)", row)) for row in rows}
    assert cells == dict.fromkeys(discovery.backends(Settings()), len(Mode))


@pytest.mark.processes
def test_nothing_is_left_to_fill_in(site: Path) -> None:
    assert [path.name for path in site.glob("*.html") if ":::" in path.read_text()] == []


@pytest.mark.processes
def test_it_names_no_path_of_this_machine(site: Path) -> None:
    assert [
        path.name for path in site.glob("*.html") if str(ROOT) in path.read_text() or str(Path.home()) in path.read_text()
    ] == []


@pytest.mark.processes
def test_no_font_and_no_script_comes_from_outside(site: Path) -> None:
    loads = re.compile(r"""<(?:script|img|iframe)[^>]*src=["']?https?:|<link[^>]*rel=["']?(?:stylesheet|preconnect)[^>]*https?:""")
    assert [path.name for path in site.glob("*.html") if loads.search(path.read_text())] == []
