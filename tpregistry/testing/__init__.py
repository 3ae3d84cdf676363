"""For those who write backends, and for our own tests: a loopback backend, faulty kernels, and problems to try them on."""

from tpregistry.testing.faults import FAULTS, applies, faulty_kernel
from tpregistry.testing.loopback import Loopback, PlanKernel
from tpregistry.testing.random_problem import random_problem
from tpregistry.testing.real import real_problems
from tpregistry.testing.zoo import zoo

__all__ = ["FAULTS", "Loopback", "PlanKernel", "applies", "faulty_kernel", "random_problem", "real_problems", "zoo"]
