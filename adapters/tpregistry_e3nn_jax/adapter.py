"""Patching e3nn-jax: three functions wherever the package holds them, and the code of its functional products."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

from tpregistry import session
from tpregistry.errors import TPError, Unsupported
from tpregistry.frame import Host
from tpregistry.problem import Problem

TESTED = ("0.21",)
BEYOND = "functions that a program imported by name before e3nn_jax was patched, and programs that were exported"
"""What the patch does not reach; `tpregistry doctor` says it."""

FUNCTIONS = ("tensor_product", "elementwise_tensor_product", "tensor_square")
CORE = "e3nn_jax._src.legacy.core_tensor_product"

STOCK: dict[str, Any] = {}
"""The functions as they were, by name."""


class Adapter:
    """Accelerates the tensor products of e3nn-jax; flax, equinox and haiku models call these."""

    framework = "jax"

    def patch(self) -> None:
        """Put ours in the place of the host's functions in all of its modules; idempotent."""
        if STOCK:
            return
        from tpregistry.jax.binding import follow_settings
        from tpregistry_e3nn_jax import functional, products

        readers = (products.read_tensor_product, products.read_elementwise, products.read_tensor_square)
        ours = {name: products.accelerated(name, read) for name, read in zip(FUNCTIONS, readers, strict=True)}
        STOCK.update({name: original(name) for name in (*FUNCTIONS, "_left_right")})
        for name, function in ours.items():
            _replace(STOCK[name], function)
        _replace(STOCK["_left_right"], functional.left_right)
        follow_settings()
        _tell_of_others()

    def unpatch(self) -> None:
        """Give every module back exactly what it had; programs that are compiled keep their kernels."""
        for name, function in list(STOCK.items()):
            home = sys.modules[CORE if name == "_left_right" else "e3nn_jax"]
            _replace(getattr(home, name), function)
        STOCK.clear()
        session.made.out_of_reach.clear()

    def problems(self, model: Any) -> Iterator[tuple[Problem, Host]]:
        """JAX models are functions: what they compute is known when they are called. Raises TPError saying so."""
        raise TPError("a JAX model's products are known when it is traced: run it once with TP_TUNE=force, or give irreps")

    def described(self, product: Any, dtype: str) -> Problem:
        """The problem of a `FunctionalTensorProduct`. Raises TypeError for anything else, Unreadable for what no problem says."""
        from e3nn_jax.legacy import FunctionalTensorProduct

        from tpregistry_e3nn_jax import describe

        if not isinstance(product, FunctionalTensorProduct):
            raise TypeError(f"a {type(product).__name__} is neither a Problem nor a FunctionalTensorProduct of e3nn-jax")
        zero1, zero2 = ((False,) * len(rep) for rep in (product.irreps_in1, product.irreps_in2))
        return describe.functional(product, zero1, zero2, dtype).problem

    def host(self, problem: Problem, device: str) -> Host:
        """e3nn-jax's code for a problem that comes without a call. Raises Unsupported where it has none."""
        from tpregistry_e3nn_jax import NAME, E3nnJax
        from tpregistry_e3nn_jax.host import host_of

        verdict = E3nnJax().supports(problem, device)
        if not verdict.ok:
            raise Unsupported(f"{NAME} has no product for {problem}, so there is nothing to check against", verdict.reasons)
        return host_of(problem)


def original(name: str) -> Any:
    """A function of the host, as it is now."""
    return getattr(sys.modules[CORE if name == "_left_right" else "e3nn_jax"], name)


def _replace(old: Any, new: Any) -> None:
    """In every module of the host that holds it, by whatever name."""
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] == "e3nn_jax" and module is not None:
            for name, value in list(vars(module).items()):
                if value is old:
                    setattr(module, name, new)


def _tell_of_others() -> None:
    """Modules of programs that took the stock functions by name keep them."""
    held = {id(function): name for name, function in STOCK.items()}
    for module_name, module in list(sys.modules.items()):
        values = list(vars(module).items()) if hasattr(module, "__dict__") else []
        names = {held[id(value)] for _, value in values if id(value) in held}
        if names and module_name.partition(".")[0] not in ("e3nn_jax", "tpregistry_e3nn_jax"):
            told = f"{module_name} had imported {', '.join(sorted(names))} of e3nn_jax before"
            session.made.out_of_reach.append(told)
            warnings.warn(f"tpregistry: {told}; it stays stock", stacklevel=3)
