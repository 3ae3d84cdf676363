"""How TP_BACKEND takes effect in a program that does not know us: through the start-up file, in a process of its own."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest

import tpregistry
from tpregistry import bootstrap
from tpregistry.bootstrap import Finder

PROGRAM = """
try:
    import mace
except ImportError:
    pass
import torch
from e3nn import o3
product = o3.TensorProduct("8x1o", "1o", "8x0e", [(0, 0, 0, "uvu", True)], shared_weights=False, internal_weights=False)
print(float(product(torch.ones(4, 24), torch.ones(4, 3), torch.ones(4, 8)).sum()))
import sys
print("tpregistry" in sys.modules, "patched" if "tpregistry" in o3.TensorProduct.forward.__module__ else "stock")
"""


def run(tmp_path: Path, program: str = PROGRAM, flags: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TP_")}
    environ |= {"TP_CACHE_DIR": str(tmp_path / "records")} | variables
    command = [sys.executable, *flags, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=tmp_path)


@pytest.mark.processes
def test_without_the_variable_nothing_of_ours_is_imported(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.stdout.split()[1:] == ["False", "stock"]
    assert "tpregistry" not in done.stderr


@pytest.mark.parametrize("value", ["off", ""])
def test_off_is_off(tmp_path: Path, value: str) -> None:
    assert run(tmp_path, TP_BACKEND=value).stdout.split()[1:] == ["False", "stock"]


def test_an_unmodified_program_is_tuned_once_then_starts_from_its_record(tmp_path: Path) -> None:
    stock, first, second = run(tmp_path), run(tmp_path, TP_BACKEND="auto"), run(tmp_path, TP_BACKEND="auto")
    for done in (first, second):
        assert done.stdout.split()[1:] == ["True", "patched"]
        assert float(done.stdout.split()[0]) == pytest.approx(float(stock.stdout.split()[0]), rel=1e-5)
    assert "[tuned]" in first.stderr
    assert "[record]" in second.stderr
    assert "[tuned]" not in second.stderr


def test_the_report_says_what_ran(tmp_path: Path) -> None:
    done = run(tmp_path, TP_BACKEND="cg-hoist", TP_REPORT=str(tmp_path / "report-{pid}.json"))
    assert done.returncode == 0, done.stderr
    (report,) = tmp_path.glob("report-*.json")
    assert '"backend": "cg-hoist"' in report.read_text()


def test_an_unknown_backend_is_an_error_when_a_product_is_first_used(tmp_path: Path) -> None:
    done = run(tmp_path, TP_BACKEND="cg-hosit")
    assert done.returncode == 1
    ours = "cg, cg-dense, cg-hoist, cg-llvm, cg-triton, cg-triton-ahead, cg-triton-atomic, cg-triton-direct, cg-triton-warp"
    ours += ", cuequivariance, cuequivariance-jax, definition, e3j, e3nn, e3nn_jax, gtp, gtp-fourier, gtp-grid, gtp-llvm"
    ours += ", gtp-separable, gtp-separable-fft, mace, mtp, openequivariance, openequivariance-jax"
    known = f"auto, off, {ours}"
    assert done.stderr.strip().endswith(f"Did you mean cg-hoist? Known: {known}")


def test_a_bad_setting_is_an_error_that_names_the_right_ones(tmp_path: Path) -> None:
    done = run(tmp_path, TP_BACKEND="auto", TP_TUNE="perhaps")
    assert done.returncode == 1
    assert "use one of miss, off, force, require" in done.stderr


def test_isolated_interpreters_without_site_stay_stock(tmp_path: Path) -> None:
    done = run(tmp_path, "import sys; print('tpregistry.bootstrap' in sys.modules)", flags=("-S",), TP_BACKEND="auto")
    assert done.stdout.split() == ["False"]


def test_import_of_the_package_is_light(tmp_path: Path) -> None:
    program = "import sys, tpregistry; print(sorted({'numpy', 'torch', 'jax', 'rich', 'typer', 'stevedore'} & set(sys.modules)))"
    assert run(tmp_path, program).stdout.strip() == "[]"


def test_import_auto_after_the_host(tmp_path: Path) -> None:
    program = PROGRAM.replace("product = ", "import tpregistry.auto\nproduct = ")
    assert run(tmp_path, program).stdout.split()[1:] == ["True", "patched"]


def test_import_auto_before_the_host(tmp_path: Path) -> None:
    assert run(tmp_path, "import tpregistry.auto\n" + PROGRAM).stdout.split()[1:] == ["True", "patched"]


def test_a_start_up_file_before_ours_that_imports_torch(tmp_path: Path) -> None:
    program = "import os, torch\nos.environ['TP_BACKEND'] = 'cg-hoist'\nimport tpregistry_startup\n" + PROGRAM
    assert run(tmp_path, program).stdout.split()[1:] == ["True", "patched"]


def test_while_one_thread_looks_for_a_module_another_finds_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[ModuleSpec] = []

    class Other:
        """Takes its time over the first name: meanwhile another thread asks for the second."""

        def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec:
            if name == "first":
                with ThreadPoolExecutor() as threads:
                    found.append(threads.submit(finder.find_spec, "second").result())
            return ModuleSpec(name, SimpleNamespace(exec_module=id))

    finder = Finder()
    finder._watched |= {"first", "second"}
    monkeypatch.setattr(sys, "meta_path", [finder, Other()])
    finder.find_spec("first")
    assert found[0].loader.exec_module is not id, "it patches, too"


def test_a_broken_adapter_leaves_the_program_stock_with_one_warning(tmp_path: Path) -> None:
    program = "import tpregistry_e3nn.adapter as a\na.Adapter.patch = lambda self: 1 / 0\n" + PROGRAM
    done = run(tmp_path, program, TP_BACKEND="auto")
    assert done.returncode == 0
    assert done.stdout.split()[-1] == "stock"
    assert "stays stock (ZeroDivisionError" in done.stderr


GONE = """
import os, site, sys
site.addsitedir("site")
import json, torch
print(torch.__name__, type(torch.__spec__.loader).__name__)
sys.modules.pop("torch")
import jax, torch
"""


def start_up_file_alone(folder: Path) -> Path:
    """A site folder with what an editable installation puts there, and frameworks of two lines; the package is elsewhere."""
    site, package = folder / "site", Path(tpregistry.__file__).parent
    site.mkdir()
    shutil.copy(package / "startup.pth", site / "tpregistry_startup.pth")
    shutil.copy(package / "trigger.py", site / "tpregistry_startup.py")
    for name in ("torch", "jax"):
        (site / f"{name}.py").write_text("")
    return site


def emptied(site: Path) -> None:
    """What removing sources leaves: folders with byte code."""
    (site / "tpregistry" / "__pycache__").mkdir(parents=True)


def cut(site: Path) -> None:
    (site / "tpregistry").mkdir()
    (site / "tpregistry" / "__init__.py").write_text("def half(")


def unreadable(site: Path) -> None:
    """As a folder is to `open`, whoever runs it."""
    (site / "tpregistry" / "__init__.py").mkdir(parents=True)
    (site / "tpregistry" / "bootstrap.py").mkdir(parents=True)


def of_another(site: Path) -> None:
    (site / "tpregistry.py").write_text("raise OSError('cannot be opened')")


@pytest.mark.processes
@pytest.mark.parametrize("state", [lambda site: None, emptied, cut, unreadable, of_another])
def test_a_start_up_file_that_outlives_the_package_lets_programs_be(tmp_path: Path, state) -> None:
    """With one line, and none where nothing is asked for; also where warnings are errors, or stderr is closed."""
    state(start_up_file_alone(tmp_path))
    stock = run(tmp_path, GONE, flags=("-S",), PYTHONPATH="")
    done = run(tmp_path, GONE, flags=("-S", "-W", "error"), TP_BACKEND="auto", PYTHONPATH="")
    assert (done.returncode, done.stdout) == (stock.returncode, stock.stdout) == (0, "torch SourceFileLoader\n")
    assert (stock.stderr, done.stderr.count("\n")) == ("", 1), done.stderr
    assert "warning: TP_BACKEND is set, but tpregistry cannot be imported (" in done.stderr
    assert "site/tpregistry_startup.py and what lies beside it" in done.stderr
    closed = run(tmp_path, "import sys; sys.stderr.close()\n" + GONE, flags=("-S",), TP_BACKEND="auto", PYTHONPATH="")
    assert (closed.returncode, closed.stdout) == (0, stock.stdout)


@pytest.mark.processes
def test_one_that_comes_after_a_framework_lets_programs_be(tmp_path: Path) -> None:
    (start_up_file_alone(tmp_path) / "a.pth").write_text("import torch\n")
    done = run(tmp_path, GONE, flags=("-S",), TP_BACKEND="auto", PYTHONPATH="")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "torch SourceFileLoader\n", 1), done.stderr


def test_a_package_that_lacks_a_module_lets_programs_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tpregistry.hosts", None)
    with pytest.warns(UserWarning, match="e3nn stays stock .ModuleNotFoundError"):
        bootstrap.patch("e3nn")


def test_metadata_that_cannot_be_read_let_programs_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "entry_points", lambda **_: 1 / 0)
    with pytest.warns(UserWarning, match="every host stays stock .ZeroDivisionError"):
        assert Finder().find_spec("torch").name == "torch"
