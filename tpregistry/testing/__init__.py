"""For those who write backends, and for our own tests: a loopback backend, faulty kernels, problems to try them on, and how."""

from tpregistry.testing.conformance import Outcome, examine, problems, tour
from tpregistry.testing.faults import FAULTS, READING, applies, faulty_kernel
from tpregistry.testing.hygiene import Finding, hygiene
from tpregistry.testing.loopback import Loopback, PlanKernel
from tpregistry.testing.random_problem import random_problem
from tpregistry.testing.real import real_problems
from tpregistry.testing.zoo import zoo

__all__ = ["FAULTS", "READING", "Finding", "Loopback", "Outcome", "PlanKernel", "applies", "examine", "faulty_kernel", "hygiene"]
__all__ += ["problems", "random_problem", "real_problems", "tour", "zoo"]
