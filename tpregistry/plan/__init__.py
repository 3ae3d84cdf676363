"""What is to be computed, framework-free: plans, their derivatives, and the NumPy emitter that tests every other one."""

from tpregistry.plan.numpy_emitter import emit_numpy
from tpregistry.plan.plan import Operand, Plan, Segment, Term
from tpregistry.plan.tensor_product import plan_tensor_product

__all__ = ["Operand", "Plan", "Segment", "Term", "emit_numpy", "plan_tensor_product"]
