"""e3nn-jax's own tests, from its source distribution, under each backend: they pass where they pass stock.

`make test` runs those of tensor products under the fastest backend, `make test-all` under every other and `auto`, with those of
code that uses them. The rest of the suite, grids and symmetric bases, takes more than half an hour stock, and is left out.
"""

from pathlib import Path

import pytest
from e3nn_jax import __version__

from tests.hosts.suite import Run, describe, run, sdist
from tests.jax.conftest import BACKENDS as EVERY_PRODUCT
from tests.jax.conftest import on_a_cpu
from tests.tiers import first, tier

pytestmark = pytest.mark.xla

WHOLE = tier() == "all"
PRODUCTS = ["_src/tensor_products_test.py", "_src/legacy"]
USERS = [f"_src/{name}_test.py" for name in ("config", "grad", "linear_haiku", "gate")]
USERS += [f"experimental/{name}_test.py" for name in ("point_convolution", "transformer")]
TARGETS = [*PRODUCTS, *USERS] if WHOLE else PRODUCTS
BACKENDS = first(dict.fromkeys(["cg-llvm", "auto", *on_a_cpu()]), lambda name: name == "cg-llvm")


@pytest.fixture(scope="module")
def suite() -> Path:
    return sdist(f"e3nn-jax=={__version__}") / "tests"


@pytest.fixture(scope="module")
def stock(suite: Path, tmp_path_factory) -> Run:
    return run(suite, TARGETS, tmp_path_factory.mktemp("stock"), ())


@pytest.mark.parametrize("backend", BACKENDS)
def test_passes_where_stock_passes(backend: str, suite: Path, stock: Run, tmp_path: Path, capsys) -> None:
    request = backend if backend == "auto" else f"{backend},e3nn_jax"
    result = run(suite, TARGETS, tmp_path, (), TP_BACKEND=request, TP_BUDGET="5")
    with capsys.disabled():
        print(f"\n{describe(f'e3nn-jax {__version__} under TP_BACKEND={request}', result)}")
        print(f"  stock: {len(stock.outcomes)} tests, {len(stock.failed)} failed")
    assert set(result.outcomes) == set(stock.outcomes), (tmp_path / "output.txt").read_text()[-2000:]
    assert result.failed <= stock.failed, (tmp_path / "output.txt").read_text()[-4000:]
    assert result.calls.total() > 0
    if backend != "auto":
        elsewhere = result.calls.total() - result.calls[backend]
        assert elsewhere == result.notes.total(), f"calls that went elsewhere without a reason\n{describe(backend, result)}"
        assert result.share(backend) >= (0.9 if backend in EVERY_PRODUCT else 0.01), describe(backend, result)
