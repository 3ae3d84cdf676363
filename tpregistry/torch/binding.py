"""Kernels bound to a module: one per regime (device, dtype, gradients, batch bucket, settings), found by one look-up.

The hot path of every torch adapter. A module keeps its `Bindings` in its ``__dict__``, never as a parameter, buffer or
submodule, so state_dict, pickles and copies stay those of the host.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch

from tpregistry import session
from tpregistry.decision import Decision
from tpregistry.errors import HostRaised, TPError
from tpregistry.frame import Host
from tpregistry.interrupts import from_signal_handler
from tpregistry.problem import DTYPES, Problem, bucket
from tpregistry.settings import override, process_settings
from tpregistry.torch.convolution import convolution
from tpregistry.torch.differentiable import differentiable
from tpregistry.torch.graph import Graph
from tpregistry.torch.ground import KEPT, Ground, Kept, Unreadable
from tpregistry.torch.guard import left_to_host
from tpregistry.torch.recomputation import hooks_in_force, remembered

T = TypeVar("T")
Tensor = torch.Tensor
Function = Callable[[Tensor, Tensor, Tensor], Tensor]

_grad_enabled = torch.is_grad_enabled
_deterministic = torch._C._get_deterministic_algorithms

WATCHED = 8
"""Gradient calls per module, and then one in 64, whose backward is watched for second order."""


class Seen:
    """What was seen of the calls of a module and its replicas. ``order`` is the highest of derivatives, where any were wanted."""

    __slots__ = ("grad_calls", "order")

    def __init__(self) -> None:
        self.order = 1
        self.grad_calls = 0

    def watch(self, out: Tensor) -> None:
        """Raise the order to 2 when the backward of this output runs with gradients enabled."""
        if out.grad_fn is not None:
            out.grad_fn.register_prehook(self._backward)

    def _backward(self, cotangents: Any) -> None:
        if torch.is_grad_enabled():
            self.order = 2


class Bindings:
    """What one module has bound, and the ground that it rests on."""

    __slots__ = ("ground", "kept", "seen")

    def __deepcopy__(self, memo: Any) -> Bindings:
        """A copy of a module binds for itself, however it was copied."""
        return Bindings()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """In a pickle nothing of ours: a program without tpregistry reads an empty dictionary."""
        return dict, ()

    def __init__(self, of: Bindings | None = None) -> None:
        """``of``: those of the module that this one is a replica of."""
        self.ground: Ground | None = None
        self.seen: Seen = of.seen if of else Seen()
        self.kept: dict[Any, Kept] = of.kept if of else {}

    def rest_on(self, ground: Ground) -> None:
        """Kernels that were bound in the same state stay."""
        if ground.state not in self.kept and len(self.kept) >= KEPT:
            self.kept.clear()
        ground.kept = self.kept.setdefault(ground.state, ground.kept)
        self.ground = ground


class Hook:
    """How one kind of host module is accelerated: what it computes, and its own code for it."""

    def ground(self, module: Any) -> Ground:
        """What kernels of the module rest on. Raises Unreadable with the reason."""
        return Ground()

    def describe(self, module: Any, dtype: torch.dtype) -> Problem:
        """The module's problem, at any batch and order. Raises Unreadable with the reason."""
        raise NotImplementedError

    def host(self, module: Any, problem: Problem, device: str) -> Host:
        """The module's own code, at the problem's dtype and in float64."""
        raise NotImplementedError

    def own(self, module: Any) -> Callable[..., Tensor]:
        """The module's own code as a function of x, y and w."""
        raise NotImplementedError

    def weights(self, module: Any, given: Tensor | None) -> Tensor:
        """The weights of a call: those given, or the module's own. Raises what the host raises for others."""
        raise NotImplementedError

    def bindings(self, module: Any) -> Bindings:
        """What the module has bound."""
        raise NotImplementedError

    def widths(self, module: Any) -> tuple[int, int, int]:
        """Numbers in a row of x, y and w."""
        raise NotImplementedError

    def more(self, module: Any) -> str | None:
        """Why a call of the module would do more than compute its product, or None: see `skipped.more`."""
        raise NotImplementedError

    def call(
        self,
        module: Any,
        bindings: Bindings,
        stock: Callable[[], Tensor],
        x: Tensor,
        y: Tensor,
        w: Tensor,
        shapes: tuple[torch.Size, torch.Size] | None = None,
    ) -> Tensor:
        """Run the bound kernel for this regime, binding it first where need be; or the host's code by rule.

        ``shapes`` of x and y, where the caller has read them: that costs as much as all the rest of this.
        """
        rule = left_to_host(x, y, w)
        if rule is not None:
            session.made.left_to_host[rule] += 1
            return stock()
        shape, others = shapes or (x.shape, y.shape)
        weights = w.shape
        batch = shape[0] if len(shape) == len(others) == 2 else 0
        fits = batch and others[0] == batch and (len(weights) == 1 or (weights[0] == batch and weights[-1]))
        if not (fits and x.dtype == y.dtype == w.dtype):
            return self._call_any_shape(module, bindings, stock, x, y, w)
        return self.run(module, bindings, batch, 0, stock, x, y, w)

    def convolve(
        self, module: Any, bindings: Bindings, stock: Callable[[], Tensor], x: Tensor, y: Tensor, w: Tensor, graph: Graph
    ) -> Tensor:
        """The same for a convolution, whose samples are the edges of a graph."""
        rule = left_to_host(x, y, w) or (None if len(graph) else "empty batch")
        rule = rule or (None if x.dtype == y.dtype == w.dtype else "operands of different dtypes")
        if rule is not None:
            session.made.left_to_host[rule] += 1
            return stock()
        return self.run(module, bindings, len(graph), bucket(graph.nodes), stock, x, y, w, lambda: graph)

    def run(
        self,
        module: Any,
        bindings: Bindings,
        batch: int,
        nodes: int,
        stock: Callable[[], Tensor],
        x: Tensor,
        y: Tensor,
        w: Tensor,
        graph: Callable[[], Graph] | None = None,
    ) -> Tensor:
        """What is bound for this regime, bound now where need be. ``graph`` is asked for where a kernel runs, and may raise
        Unreadable: that call is the host's."""
        seen = bindings.seen
        grad = _grad_enabled() and (x.requires_grad or y.requires_grad or w.requires_grad)
        key = (
            batch.bit_length() >> 1,  # one per bucket, see `problem.bucket`
            seen.order if grad else 0,
            x.dtype,
            x.device,
            override.get() or process_settings(),  # `settings.current`, without the call
            _deterministic(),
            nodes,
        )
        ground = bindings.ground
        kept = ground.kept if ground is not None and ground.holds(module) else None
        hooks = hooks_in_force(True) if grad else None
        ran = remembered(hooks) if hooks is not None else None
        if ran is None:
            found = kept.bound.get(key) if kept is not None else None
            function, decision = found or self._bound(module, bindings, key, x, y, w)
        else:
            function, decision = self._as_before(ran, kept, module, bindings, key, x, y, w)
        decision.calls += 1
        if function is None:
            out = stock()
        else:
            try:
                out = function(x, y, w) if graph is None else function(x, y, w, graph=graph())
            except (Exception, SystemExit) as error:
                out = self._lost(bindings, key, decision, stock, error)
        if grad and seen.order == 1:
            seen.grad_calls += 1
            if seen.grad_calls <= WATCHED or not seen.grad_calls % 64:
                seen.watch(out)
        return out

    def _as_before(
        self, ran: dict[Any, Any], kept: Kept | None, module: Any, bindings: Bindings, key: Any, x: Tensor, y: Tensor, w: Tensor
    ) -> Any:
        """In a checkpoint: what ran there at first for such operands, whatever is bound by now for the order and the settings."""
        bucket_of, _, dtype, device, _, _, nodes = key
        of = bucket_of, dtype, device, nodes
        if (kept, of) not in ran:
            found = self._bound(module, bindings, key, x, y, w)
            kept = bindings.ground.kept if bindings.ground is not None else None
            ran.setdefault((kept, of), found)
        return ran[kept, of]

    def _call_any_shape(
        self, module: Any, bindings: Bindings, stock: Callable[[], Tensor], x: Tensor, y: Tensor, w: Tensor
    ) -> Tensor:
        """Leading dimensions and broadcasting: flattened to one batch dimension, and back."""
        if not x.dtype == y.dtype == w.dtype:
            session.made.left_to_host["operands of different dtypes"] += 1
            return stock()
        per_sample = w.dim() > 1
        try:
            lead = torch.broadcast_shapes(x.shape[:-1], y.shape[:-1], *([w.shape[:-1]] if per_sample else []))
        except RuntimeError:
            return stock()  # raises the host's own error
        if 0 in lead:
            session.made.left_to_host["empty batch"] += 1
            return stock()
        flat_x, flat_y, flat_w = (_flat(x, lead), _flat(y, lead), _flat(w, lead) if per_sample and w.shape[-1] else w.flatten())
        out = self.call(module, bindings, lambda: stock().reshape(lead.numel(), -1), flat_x, flat_y, flat_w)
        return out.reshape(*lead, out.shape[-1])

    def _bound(self, module: Any, bindings: Bindings, key: Any, x: Tensor, y: Tensor, w: Tensor) -> Any:
        """What is bound for a regime, on the ground that the module gives now. What goes wrong on our side ends in the host's
        code with one warning."""
        settings = key[4]
        try:
            ground = bindings.ground
            if ground is None or not ground.holds(module):
                bindings.rest_on(ground := self.ground(module))
        except Unreadable as reason:
            return None, _Counting(str(reason))  # of this call: hooks come and go
        bound = ground.kept.bound
        if key not in bound:
            try:
                bound[key] = self._bind(module, bindings, ground, key, x, y, w)
            except Unreadable as reason:
                bound[key] = None, _Counting(str(reason))
            except HostRaised as error:
                if settings.backend.forced:
                    raise error.error from None
                bound[key] = None, _Counting(str(error))
            except TPError:
                raise
            except Exception as error:  # nothing of ours may end a program that runs without it
                if settings.backend.forced:
                    raise
                warnings.warn(f"tpregistry: binding failed ({type(error).__name__}: {error}); the host's code runs", stacklevel=4)
                bound[key] = None, _Counting(f"binding failed: {error}")
        return bound[key]

    def _bind(self, module: Any, bindings: Bindings, ground: Ground, key: Any, x: Tensor, y: Tensor, w: Tensor) -> Any:
        """Decide for a regime."""
        problem = self._problem(module, ground, key, x, y, w)
        device = str(x.device)
        decision = session.resolve(problem, self.host(module, problem, device), "torch", device, key[4], y.shape[0])
        own = self.own(module)
        own = partial(convolution, own) if problem.convolves else own
        if decision.kernel is None:
            return None, decision
        return differentiable(decision.kernel, own, partial(self._lost, bindings, key, decision)), decision

    def _problem(self, module: Any, ground: Ground, key: Any, x: Tensor, y: Tensor, w: Tensor) -> Problem:
        if not x.device == y.device == w.device:
            raise Unreadable("operands on different devices")
        if x.is_meta:
            raise Unreadable("operands on meta, which have no numbers")
        if str(x.dtype).removeprefix("torch.") not in DTYPES:
            raise Unreadable(f"operands of {x.dtype}")
        if ground.dtype not in (None, x.dtype):
            raise Unreadable(f"operands of {x.dtype}, buffers of {ground.dtype}")
        if ground.device not in (None, x.device):
            raise Unreadable(f"operands on {x.device}, buffers on {ground.device}")
        if ground.kept.problem is None:
            ground.kept.problem = self._described(module, x.dtype)
        if isinstance(ground.kept.problem, str):
            raise Unreadable(ground.kept.problem)
        problem = ground.kept.problem.convolution(key[6]) if key[6] else ground.kept.problem
        return problem.at(
            batch=bucket(y.shape[0]),
            derivatives=key[1],
            dtype=str(x.dtype).removeprefix("torch."),
            deterministic=key[5],
            precision=matmul_precision(),
        )

    def _described(self, module: Any, dtype: torch.dtype) -> Problem | str:
        try:
            return self.describe(module, dtype)
        except Unreadable as reason:
            return str(reason)

    def _lost(self, bindings: Bindings, key: Any, decision: Decision, stock: Callable[[], T], error: BaseException) -> T:
        """A kernel, or its derivative, that raises in use: the error itself where it was forced, else the host's code from now on.

        Checkpointing ends a recomputation by raising from within a kernel's torch functions: that is no failure.
        """
        if isinstance(error, Unreadable):
            decision.calls -= 1
            session.made.left_to_host[str(error)] += 1
            return stock()
        if key[4].backend.forced or type(error).__module__ == "torch.utils.checkpoint" or from_signal_handler(error):
            raise error
        out = stock()  # an error of the caller's own is raised here, by the host
        why = f"{decision.backend} raised {type(error).__name__}: {error}"
        warnings.warn(f"tpregistry: {why}; the host's code runs from now on", stacklevel=4)
        assert bindings.ground is not None, "a kernel ran"
        bindings.ground.kept.bound[key] = None, _Counting(why)
        return out


def matmul_precision() -> str:
    """torch's setting for float32 matrix products: "highest", "high", "medium"; or, where a program has used the switches of
    torch 2.9, which the older getter refuses, their words ("ieee", "tf32", "bf16") for GPU and CPU."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return ", ".join(backend.matmul.fp32_precision for backend in (torch.backends.cuda, torch.backends.mkldnn))


def _flat(tensor: Tensor, lead: torch.Size) -> Tensor:
    return tensor.expand(*lead, tensor.shape[-1]).reshape(lead.numel(), tensor.shape[-1])


class _Counting:
    """Stands in for a decision in the hot path: its calls are counted by rule."""

    backend = "host"

    def __init__(self, why: str) -> None:
        self._why = why

    @property
    def calls(self) -> int:
        return session.made.left_to_host[self._why]

    @calls.setter
    def calls(self, value: int) -> None:
        session.made.left_to_host[self._why] = value
