"""A backend in a distribution of its own: one einsum for each path. This module is imported to list it, so it is light."""

from tpregistry.backend import Face, Kernel, Reason, Verdict
from tpregistry.problem import Problem


class Einsum:
    """Clebsch-Gordan products as the textbook writes them."""

    face = Face(name="einsum", family="einsum", summary="one einsum per path", frameworks=("torch",), requires=("torch",))

    def supports(self, problem: Problem, device: str, framework: str) -> Verdict:
        """Yes, or every reason why not, and about how long `build` takes."""
        paired = sorted({path.mode.value for path in problem.paths if path.mode.paired})
        reasons = [Reason("EINSUM1", f"mode {mode} reads pairs of copies", "choose a backend of family cg") for mode in paired]
        return Verdict(tuple(reasons), build_seconds=0.1)

    def build(self, problem: Problem, device: str, framework: str) -> Kernel:
        """What the gate checks and the tuner times; only here is torch imported."""
        from tp_einsum.kernel import EinsumKernel

        return EinsumKernel(problem, device)
