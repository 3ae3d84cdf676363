"""The conformance kit: every outcome of a backend on a problem, the same for the command and for a test suite."""

from dataclasses import replace

import pytest
import torch

from tpregistry.backend import Verdict
from tpregistry.frame import frame
from tpregistry.testing import Loopback, examine, hygiene, problems, tour, zoo
from tpregistry.testing.signals import signals
from tpregistry.torch.differentiable import differentiable
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


class Wrong:
    """A vjp of a form that no framework can use."""

    engine = "wrong"

    def __init__(self, kernel, change) -> None:
        self.kernel, self.change = kernel, change

    def __call__(self, *operands):
        return self.kernel(*operands)

    def vjp(self):
        return Changed(self.kernel.vjp(), self.change)


class Changed:
    engine = "changed"

    def __init__(self, kernel, change) -> None:
        self.kernel, self.change, self.vjp = kernel, change, kernel.vjp

    def __call__(self, *operands):
        return self.change(self.kernel(*operands))


FORMS = [
    (list, "the vjp of wrong returns list, not a tuple of 3: one gradient for each operand"),
    (lambda found: found[:2], "the vjp of wrong returns a tuple of 2, not a tuple of 3"),
    (lambda found: (found[0], None, found[2]), "the vjp of wrong returns NoneType for operand 2 of shape (33, "),
    (lambda found: (found[0][:1], *found[1:]), "the vjp of wrong returns shape (1, "),
]


@pytest.mark.parametrize(("change", "words"), FORMS, ids=["a list", "two", "none", "a shape"])
def test_gradients_of_another_form_are_named(change, words) -> None:
    class Odd(Loopback):
        def build(self, problem, device, framework):
            return Wrong(super().build(problem, device, framework), change)

    found = outcome(Odd())
    assert found.state == "raised"
    assert words in found.reasons[0]
    assert found.reasons[0].startswith("TP180 raised TypeError in the gate on 'main'")


def test_what_a_factor_does_is_said() -> None:
    class Twice(Loopback):
        def build(self, problem, device, framework):
            kernel = super().build(problem, device, framework)
            return Wrong(kernel, lambda found: (found[0], 2 * found[1], found[2]))

    assert "2 times what is right" in outcome(Twice()).reasons[0]


def test_what_is_left_out_is_said() -> None:
    class Forgetful(Loopback):
        def build(self, problem, device, framework):
            kernel = super().build(problem, device, framework)
            return Wrong(kernel, lambda found: (0 * found[0], *found[1:]))

    assert "all zeros" in outcome(Forgetful()).reasons[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [(True, "it returned True, not a Verdict"), ("no", "it returned 'no', not a Verdict")],
)
def test_answers_that_are_no_verdicts_are_named(answer, words) -> None:
    class Odd(Loopback):
        def supports(self, problem, device, framework):
            return answer

    assert words in outcome(Odd()).reasons[0]


def test_reasons_of_a_verdict_are_reasons() -> None:
    with pytest.raises(TypeError, match="not a tuple of Reason"):
        Verdict("no uvw")  # type: ignore[arg-type]


def test_derivatives_that_were_not_brought_are_an_error_and_not_zero() -> None:
    kernel = Last(Last(None))
    x, y, w = (torch.randn(3, 2, requires_grad=True) for _ in "xyw")
    (gradient,) = torch.autograd.grad(differentiable(kernel)(x, y, w).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no derivatives of a higher order"):
        torch.autograd.grad(gradient.sum(), y)


class Last:
    """x y w, and its gradients, without those of these."""

    engine = "last"

    def __init__(self, further) -> None:
        if further is not None:
            self.vjp = lambda: further

    def __call__(self, x, y, w, g=None):
        x, y, w = (operand.detach() for operand in (x, y, w))
        return x * y * w if g is None else (g * y * w, g * x * w, g * x * y)


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
