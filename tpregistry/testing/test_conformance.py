"""The gate on the problem zoo for the backend that --tp-backend names; what it does not support is an expected failure."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tpregistry import discovery, hosts
from tpregistry.backend import Backend
from tpregistry.frame import frame
from tpregistry.settings import current
from tpregistry.testing.conformance import problems, tour
from tpregistry.testing.hygiene import hygiene
from tpregistry.verdicts import verdict_of

ASK = "name the backend to check: pytest --tp-backend NAME --pyargs tpregistry.testing"


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a problem."""
    if "problem" in metafunc.fixturenames:
        wanted = _option(metafunc.config, "--tp-backend") is not None
        names = list(problems(further=_option(metafunc.config, "--tp-random"))) if wanted else []
        metafunc.parametrize("problem", names)


@pytest.fixture
def plugin(pytestconfig: pytest.Config) -> discovery.Plugin:
    """The plugin asked for."""
    name = _option(pytestconfig, "--tp-backend")
    if name is None:
        pytest.skip(ASK)
    return discovery.find(name, discovery.backends(current()))


def test_the_plugin_has_manners(plugin: discovery.Plugin) -> None:
    """Its light face is light, and says what it must."""
    bad = [f"{finding.name}: {finding.text}" for finding in hygiene(plugin.name) if not finding.ok]
    assert not bad
    assert not plugin.trouble, "; ".join(map(str, plugin.trouble))


def test_it_supports_something(plugin: discovery.Plugin, pytestconfig: pytest.Config) -> None:
    """Where nothing is supported, nothing was checked: on this device, in this framework, a suite must not be green then."""
    assert plugin.backend is not None, "; ".join(map(str, plugin.trouble))
    framework, device = _adapter(plugin.backend, pytestconfig).framework, _option(pytestconfig, "--tp-device")
    asked = problems(further=_option(pytestconfig, "--tp-random")).values()
    verdicts = [verdict_of(plugin.backend, problem, framework, device, plugin.name) for problem in asked]
    reasons = dict.fromkeys(str(reason) for verdict in verdicts for reason in verdict.reasons)
    assert any(verdict.ok for verdict in verdicts), f"nothing on {device} in {framework}: {'; '.join(reasons)}"


def test_it_is_right(problem: str, plugin: discovery.Plugin, pytestconfig: pytest.Config) -> None:
    """Forward, all gradients, double backward, rotation and inversion, odd and empty batches, strides, scales."""
    assert plugin.backend is not None, "; ".join(map(str, plugin.trouble))
    chosen = {problem: _problems(_option(pytestconfig, "--tp-random"))[problem]}
    adapter = _adapter(plugin.backend, pytestconfig)
    ((_, _, outcome),) = tour(plugin.backend, chosen, adapter, frame(adapter.framework), _option(pytestconfig, "--tp-device"))
    if outcome.state.value == "unsupported":
        pytest.xfail("; ".join(outcome.reasons))
    assert not outcome.fault, "; ".join(outcome.reasons)


def _adapter(backend: Backend, config: pytest.Config) -> Any:
    named = _option(config, "--tp-framework")
    return hosts.adapter_for(*([named] if named else backend.face.frameworks))


@cache
def _problems(further: int) -> dict[str, Any]:
    return problems(further=further)
