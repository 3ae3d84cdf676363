"""The conformance kit: every outcome of a backend on a problem, the same for the command and for a test suite."""

from dataclasses import replace

import pytest

from tpregistry.backend import Verdict
from tpregistry.frame import frame
from tpregistry.testing import Loopback, examine, hygiene, problems, tour, zoo
from tpregistry.testing.signals import signals
from tpregistry_e3nn.adapter import Adapter

FRAME = frame("torch")
PROBLEM = zoo("float64")["one triple by two paths"]


def outcome(backend, problem=PROBLEM):
    return examine(backend, problem, Adapter().host(problem, "cpu"), FRAME, "cpu")


def test_a_right_backend_comes_with_its_worst_check() -> None:
    found = outcome(Loopback())
    assert (found.state, found.reasons, found.fault) == ("ok", (), False)
    assert found.worst is not None
    assert 0 < found.worst < 1
    assert found.check
    assert found.seconds > 0


def test_a_backend_for_something_else_is_unsupported_unasked() -> None:
    class Elsewhere(Loopback):
        face = replace(Loopback.face, frameworks=("jax",), operations=("curl",))

        def supports(self, problem, device, framework) -> Verdict:
            raise AssertionError

    found = outcome(Elsewhere())
    assert (found.state, [reason.split()[0] for reason in found.reasons]) == ("unsupported", ["TP110", "TP111"])
    assert found.worst is None


def test_a_verdict_that_is_none_is_a_fault() -> None:
    class Silent(Loopback):
        def supports(self, problem, device, framework):
            return None

    found = outcome(Silent())
    assert (found.state, found.fault) == ("raised", True)
    assert found.reasons[0].startswith("TP181 loopback.supports raised TypeError: it returned None, not a Verdict")


def test_a_problem_that_the_host_lacks_is_unsupported() -> None:
    first, *rest = PROBLEM.paths
    mixed = PROBLEM.at(paths=(replace(first, coefficient=-first.coefficient), *rest))
    ((name, _, found),) = tour(Loopback(), {"mixed": mixed}, Adapter(), FRAME, "cpu")
    assert (name, found.state) == ("mixed", "unsupported")
    assert found.reasons[0].startswith("TP130 ")


def test_problems_are_chosen_by_name_and_drawn_from_a_seed() -> None:
    everything = problems()
    assert len(everything) == sum(len(zoo(dtype)) + len(signals(dtype)) for dtype in ("float32", "float64"))
    assert set(problems(("float32",), only="scalars")) == {"scalars only, float32"}
    drawn = problems(("float64",), only="random", further=3, seed=4)
    assert list(drawn) == [f"random {number} of seed 4, float64" for number in range(3)]
    assert drawn == problems(("float64",), only="random", further=3, seed=4)
    assert drawn != problems(("float64",), only="random", further=3, seed=5)


@pytest.mark.parametrize(
    "name",
    ["cg-dense", "cg-hoist", "cg-llvm", "gtp-grid", "gtp-separable", "gtp-llvm", "gtp-fourier", "mtp", "definition", "e3nn"],
)
def test_our_own_plugins_have_good_manners(name: str) -> None:
    found = hygiene(name)
    assert [finding.name for finding in found] == ["face", "light", "quiet", "quick"]
    assert all(finding.ok for finding in found), found
