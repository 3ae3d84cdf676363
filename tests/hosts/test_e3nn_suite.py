"""e3nn's own tests, from its source distribution, under a backend: they pass where they pass stock.

One kind of test cannot: those that compare the eager module with its TorchScript twin element by element, to 1e-5 of a
number that may be nearly zero. Under a backend the two run different code, ours and e3nn's, and float32 rounds
differently. Such failures are run again with an absolute tolerance of 1e-5 instead of 1e-8, must then pass, and are printed.

`make test` runs those of products and layers under `cg-llvm`; `make test-all` runs all of them, also the eight statistical ones of
`uvuv` that take half of the time, under each backend.
"""

from pathlib import Path

import pytest
from e3nn import __version__

from tests.hosts.suite import Run, describe, run, sdist
from tests.tiers import first, tier

pytestmark = pytest.mark.processes

PRODUCTS = ["tests/o3/tensor_product_test.py", "tests/o3/tensor_product_sub_test.py", "tests/o3/norm_test.py", "tests/nn"]
TARGETS = ["tests"] if tier() == "all" else [*PRODUCTS, "-k", "not (test_normalized and uvuv)"]
BACKENDS = first(["cg-llvm,e3nn", "cg-hoist,e3nn", "cg-dense,e3nn", "auto"], lambda name: name.startswith("cg-llvm"))


@pytest.fixture(scope="module")
def suite() -> Path:
    return sdist(f"e3nn=={__version__}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_passes_where_stock_passes(backend: str, suite: Path, tmp_path: Path, capsys) -> None:
    settings = {"TP_BACKEND": backend, "TP_BUDGET": "1"}
    result = run(suite, TARGETS, tmp_path, **settings)
    ours = result.failed - again(suite, result.failed, tmp_path / "stock").failed
    rounding = ours - again(suite, ours, tmp_path / "rounding", SUITE_ATOL="1e-5", **settings).failed
    with capsys.disabled():
        print(f"\n{describe(f'e3nn {__version__} under TP_BACKEND={backend}', result)}")
        print(f"  failures: {len(result.failed - ours)} also stock, {len(rounding)} by float32 rounding against TorchScript")
        print(*sorted(f"    {name}" for name in rounding), sep="\n")
    assert len(result.outcomes) > 300, (tmp_path / "output.txt").read_text()[-2000:]
    assert ours == rounding
    assert all("float32" in name for name in rounding)
    name = backend.partition(",")[0]
    if name != "auto":
        assert result.share(name) >= 0.95, describe(name, result)


def again(suite: Path, failed: set[str], folder: Path, **variables: str) -> Run:
    """Run some tests once more."""
    if not failed:
        return Run()
    folder.mkdir()
    result = run(suite, sorted(failed), folder, **variables)
    assert set(result.outcomes) == failed, (folder / "output.txt").read_text()[-2000:]
    return result
