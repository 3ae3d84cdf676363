"""e3nn's own tests, from its source distribution, under each backend: they pass where they pass stock."""

import os
from pathlib import Path

import pytest
from e3nn import __version__

from tests.hosts.suite import describe, run, sdist

pytestmark = pytest.mark.skipif(__version__ != "0.6.0", reason="the suite of e3nn 0.6.0 runs on e3nn 0.6.0")

PRODUCTS = ["tests/o3/tensor_product_test.py", "tests/o3/tensor_product_sub_test.py", "tests/o3/norm_test.py", "tests/nn"]
TARGETS = ["tests"] if os.environ.get("WHOLE_SUITES") else PRODUCTS


@pytest.fixture(scope="module")
def suite() -> Path:
    return sdist("e3nn==0.6.0")


@pytest.mark.parametrize("backend", ["cg-hoist,e3nn", "cg-dense,e3nn", "auto"])
def test_passes_where_stock_passes(backend: str, suite: Path, tmp_path: Path, capsys) -> None:
    result = run(suite, TARGETS, tmp_path, TP_BACKEND=backend, TP_BUDGET="0.2")
    with capsys.disabled():
        print(f"\n{describe(f'e3nn 0.6.0 under TP_BACKEND={backend}', result)}")
    assert len(result.outcomes) > 300, (tmp_path / "output.txt").read_text()[-2000:]
    assert not fails_under_us_only(suite, result.failed, tmp_path)
    name = backend.partition(",")[0]
    if name != "auto":
        assert result.share(name) >= 0.95, describe(name, result)


def fails_under_us_only(suite: Path, failed: set[str], tmp_path: Path) -> set[str]:
    """Of the tests that failed, those that pass stock: only these are run again without us."""
    if not failed:
        return set()
    (tmp_path / "stock").mkdir()
    return failed - run(suite, sorted(failed), tmp_path / "stock").failed
