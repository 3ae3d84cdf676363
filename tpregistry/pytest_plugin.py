"""``pytest --tp-backend NAME --pyargs tpregistry.testing``: the conformance kit as tests, for a plugin's own CI.

pytest loads this module wherever tpregistry is installed, so it only adds options.
"""

from __future__ import annotations

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """The options of `tpregistry.testing.test_conformance`."""
    group = parser.getgroup("tpregistry", "conformance of a tensor-product backend (--pyargs tpregistry.testing)")
    group.addoption("--tp-backend", metavar="NAME", help="check this backend on the problem zoo")
    group.addoption("--tp-device", metavar="DEVICE", default="cpu", help="where: cpu (default), cuda, cuda:1 ...")
    group.addoption("--tp-framework", metavar="NAME", help="in which: torch or jax (default: the first of the backend's)")
    group.addoption("--tp-random", metavar="N", type=int, default=0, help="N random problems besides, in each dtype")
