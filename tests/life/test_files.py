"""What an accelerated program saves, a stock one loads, and the other way round: whole models and states."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.life.conftest import PROGRAMS, Ended, run_in

pytestmark = pytest.mark.processes

WITHOUT_US = "import sys, runpy; sys.modules['tpregistry'] = None; sys.path.insert(0, {folder!r}); runpy.run_path({file!r})"
BACKEND = {"stock": "", "cg-llvm": "cg-llvm", "cg-hoist": "cg-hoist"}
Saved = Callable[[str], tuple[Path, Ended]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A folder with the files of a program that ran so, and what it printed."""

    @cache
    def save(by: str) -> tuple[Path, Ended]:
        folder = tmp_path_factory.mktemp(by)
        return folder, run_in(folder, PROGRAMS / "save.py", TP_BACKEND=BACKEND[by])

    return save


@pytest.mark.parametrize("by", ["cg-llvm", "cg-hoist"])
def test_files_name_nothing_of_ours(by: str, saved: Saved) -> None:
    folder, done = saved(by)
    assert set(done.calls) == {by}
    for name in ("model.pt", "state.pt"):
        assert b"tpregistry" not in (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("by", "loader"), [("cg-llvm", "stock"), ("cg-hoist", "stock"), ("stock", "cg-llvm"), ("stock", "cg-hoist")]
)
def test_each_loads_what_the_other_saved(by: str, loader: str, saved: Saved) -> None:
    folder, before = saved(by)
    done = run_in(folder, PROGRAMS / "load.py", TP_BACKEND=BACKEND[loader])
    assert done.numbers == pytest.approx(before.numbers, rel=1e-5)
    assert set(done.calls) == ({loader} if loader != "stock" else set())


def test_a_program_that_cannot_import_us_loads_it(saved: Saved) -> None:
    folder, before = saved("cg-llvm")
    code = WITHOUT_US.format(folder=str(PROGRAMS), file=str(PROGRAMS / "load.py"))
    assert run_in(folder, "-c", code).numbers == pytest.approx(before.numbers, rel=1e-5)
