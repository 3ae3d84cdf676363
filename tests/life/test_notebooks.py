"""A notebook in a kernel of its own: started with TP_BACKEND, or asking for us after e3nn has been imported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.cli.conftest import clean_environment
from tests.life.conftest import PROGRAMS

pytestmark = pytest.mark.processes

MODEL = f"""
import sys
sys.path.insert(0, {str(PROGRAMS)!r})
from potential import configuration, potential
model = potential()
print(float(model(configuration(0))[0].detach()))
"""
AGAIN = "print(float(model(configuration(0))[0].detach()))"
RAN = """
import tpregistry
print({decision.backend: decision.calls for decision in tpregistry.decisions()})
"""
Notebook = Callable[..., list[dict[str, str]]]


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Runs cells; what each wrote to stdout and stderr."""
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))

    def run(*cells: str, **variables: str) -> list[dict[str, str]]:
        content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        client = NotebookClient(content, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
        client.execute(env=clean_environment(tmp_path, OMP_NUM_THREADS="1", **variables))
        return [written(cell["outputs"]) for cell in content["cells"]]

    return run


def written(outputs: list[dict[str, str]]) -> dict[str, str]:
    """Each stream whole; a kernel sends it in pieces."""
    names = {output["name"] for output in outputs}
    return {name: "".join(output["text"] for output in outputs if output["name"] == name) for name in names}


def test_a_kernel_started_with_the_variable(notebook: Notebook) -> None:
    first, ran = notebook(MODEL, RAN, TP_BACKEND="cg-llvm")
    assert first["stderr"].count("-> cg-llvm") == 2, "a line for each of two convolutions, under the cell"
    assert ran["stdout"].strip() == "{'cg-llvm': 1}", "of both"


@pytest.mark.parametrize("backend", ["cg-llvm", "cg-hoist"])
def test_imported_after_e3nn_it_accelerates_models_made_before(notebook: Notebook, backend: str) -> None:
    ask = f"import os\nos.environ['TP_BACKEND'] = {backend!r}\nimport tpregistry.auto"
    stock, _, ours, ran = notebook(MODEL, ask, AGAIN, RAN)
    assert set(stock) == {"stdout"}
    assert float(ours["stdout"]) == pytest.approx(float(stock["stdout"]), rel=1e-5)
    assert ran["stdout"].strip() == f"{{{backend!r}: 1}}"


def test_the_variable_set_in_a_cell_comes_too_late_alone(notebook: Notebook) -> None:
    """Python reads start-up files before the first cell; `tpregistry doctor` says so."""
    _, _, ran = notebook("import os\nos.environ['TP_BACKEND'] = 'cg-llvm'", MODEL, RAN)
    assert ran["stdout"].strip() == "{}"
