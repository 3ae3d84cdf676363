"""The guarded forward that takes the place of TensorProduct.forward.

Under TorchScript its first branch vanishes and what is compiled is the stock code, line for line in purpose; so scripted
and exported programs hold nothing of ours.
"""
# No `from __future__ import annotations` here: TorchScript evaluates the annotations of `forward`.

from collections.abc import Callable
from typing import Any, Optional

import torch
from e3nn.o3._tensor_product._tensor_product import TensorProduct

from tpregistry.frame import Host
from tpregistry.problem import Problem
from tpregistry.torch.binding import Bindings, Hook
from tpregistry.torch.ground import Generated, Ground
from tpregistry.torch.skipped import more
from tpregistry_e3nn.describe import MAIN, describe
from tpregistry_e3nn.host import host_of

SLOT = "_tpregistry"
_is_compiling = torch.compiler.is_compiling
_is_scripting = torch.jit.is_scripting  # pyright: ignore[reportPrivateImportUsage]
_Tensor = torch.Tensor
_prep_weights_python = TensorProduct._prep_weights_python
_get_weights = TensorProduct._get_weights if TensorProduct._get_weights.__module__.startswith("e3nn.") else None
"""None where it is another library's, which has to be called."""


class TensorProductHook(Hook):
    """`tensor_product` problems of e3nn's TensorProduct and all of its subclasses."""

    def ground(self, module: Any) -> Ground:
        """Its generated code."""
        return Generated(module, MAIN)

    def describe(self, module: Any, dtype: torch.dtype) -> Problem:
        """See `describe.describe`."""
        return describe(module, dtype)

    def host(self, module: Any, problem: Problem, device: str) -> Host:
        """See `host.host_of`."""
        return host_of(module, problem.convolves)

    def own(self, module: Any) -> Callable[..., torch.Tensor]:
        """What e3nn has generated for it."""
        return module._compiled_main_left_right

    def weights(self, module: Any, given: torch.Tensor | None) -> torch.Tensor:
        """As e3nn sees them: those given, or the module's own."""
        return weights_of(module, given)

    def bindings(self, module: Any) -> Bindings:
        """See `bindings_of`."""
        return module.__dict__.get(SLOT) or bindings_of(module)

    def widths(self, module: Any) -> tuple[int, int, int]:
        """As e3nn has counted them; weights that all samples share have no rows."""
        return module._in1_dim, module._in2_dim, 0 if module.shared_weights else module.weight_numel

    def more(self, module: Any) -> str | None:
        """What subclasses of others do is theirs to say, and so is what a forward does that is not ours."""
        kind = type(module)
        if not kind.__module__.startswith("e3nn."):
            return "a product of another class"
        if kind._get_weights is not _get_weights or "_get_weights" in module.__dict__:
            return "another way to weights"
        return more(module, forward)


HOOK = TensorProductHook()


def bindings_of(module: Any) -> Bindings:
    """What a module has bound; several threads may ask for it first. A copy may hold what `Bindings` leave in a pickle."""
    if not isinstance(module.__dict__.get(SLOT, found := Bindings()), Bindings):
        module.__dict__[SLOT] = found
    return module.__dict__.setdefault(SLOT, found)


def weights_of(module: Any, given: Any) -> torch.Tensor:
    """What e3nn's `_get_weights` gives. Weights of each sample it looks through and hands back: that costs 0.7 µs, here 0.2."""
    kind = type(module)
    if type(given) is _Tensor and kind._get_weights is _get_weights and kind._prep_weights_python is _prep_weights_python:
        shape = given.shape
        if (
            len(shape) > 1
            and shape[-1] == module.weight_numel
            and not module.shared_weights
            and "_get_weights" not in module.__dict__
        ):
            return given
    return module._get_weights(given)


def dispatch(module: Any, x: Any, y: Any, weight: Any) -> torch.Tensor:
    """Check the call as e3nn does, then run what is bound."""
    shape, others = x.shape, y.shape
    fits = shape[-1] == module._in1_dim
    if fits is not True:  # a tracer's, too: it writes the assertion down
        torch._assert(fits, "Incorrect last dimension for x")
    fits = others[-1] == module._in2_dim
    if fits is not True:
        torch._assert(fits, "Incorrect last dimension for y")
    real_weight = weights_of(module, weight)
    bindings = module.__dict__.get(SLOT) or bindings_of(module)
    return HOOK.call(
        module, bindings, lambda: module._compiled_main_left_right(x, y, real_weight), x, y, real_weight, (shape, others)
    )


def forward(self, x, y, weight: Optional[torch.Tensor] = None):  # noqa: UP045
    """Evaluate the weighted tensor product of x (..., irreps_in1.dim) and y (..., irreps_in2.dim); see e3nn."""
    # Alone in its `if`, so that TorchScript drops the branch unread.
    if not _is_scripting():  # noqa: SIM102
        if not _is_compiling():
            return dispatch(self, x, y, weight)
    torch._assert(x.shape[-1] == self._in1_dim, "Incorrect last dimension for x")
    torch._assert(y.shape[-1] == self._in2_dim, "Incorrect last dimension for y")
    real_weight = self._get_weights(weight)
    return self._compiled_main_left_right(x, y, real_weight)
