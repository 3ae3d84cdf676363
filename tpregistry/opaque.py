"""What derivatives that a kernel brings itself must look like: said where they do not, before a framework says it in its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tpregistry.backend import Kernel


class Fitting:
    """The vjp of a kernel, whose results are looked at."""

    engine = "checked"

    def __init__(self, kernel: Kernel, gradients: Any, operands: int) -> None:
        self._kernel, self._gradients, self._operands = kernel, gradients, operands
        if getattr(gradients, "vjp", None) is not None:
            self.vjp = gradients.vjp

    def __call__(self, *inputs: Any, **static: Any) -> tuple[Any, ...]:
        """One gradient for each operand; the cotangents of outputs come after these."""
        return fitting(self._kernel, self._gradients(*inputs, **static), inputs[: self._operands])


def fitting(kernel: Kernel, gradients: Any, operands: Sequence[Any]) -> tuple[Any, ...]:
    """The gradients that a `vjp` gave, one for each operand and of its shape. Raises TypeError."""
    who = f"the vjp of {kernel.engine if hasattr(kernel, 'engine') else type(kernel).__name__}"
    if not isinstance(gradients, tuple) or len(gradients) != len(operands):
        found = f"a tuple of {len(gradients)}" if isinstance(gradients, tuple) else type(gradients).__name__
        raise TypeError(f"{who} returns {found}, not a tuple of {len(operands)}: one gradient for each operand")
    for number, (gradient, operand) in enumerate(zip(gradients, operands, strict=True), 1):
        shape = getattr(gradient, "shape", None)
        if shape != operand.shape:
            found = type(gradient).__name__ if shape is None else f"shape {tuple(shape)}"
            raise TypeError(
                f"{who} returns {found} for operand {number} of shape {tuple(operand.shape)}: of its shape, zeros included"
            )
    return gradients
