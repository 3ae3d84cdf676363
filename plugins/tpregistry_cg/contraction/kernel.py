"""A compiled contraction for torch, its gradients and theirs. Further ones are those of torch's own functions."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from tpregistry.contraction import table_of
from tpregistry.definition.contraction import ContractionKernel
from tpregistry.lazy import lazy
from tpregistry.native import Machine, Written, compiler, pool
from tpregistry.plan import Operand
from tpregistry.problem import Problem
from tpregistry.store import open_code
from tpregistry.torch.by_autograd import gradient_of
from tpregistry.torch.extents import require_extents
from tpregistry.torch.memory import scratch
from tpregistry_cg.contraction.sweep import Form, Sweep

Tensor = torch.Tensor
Flags = tuple[bool, ...]

_REAL = {torch.float32: "float", torch.float64: "double"}


class Compiled:
    """The functions of one problem, each compiled when it is first wanted."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.table = problem, table_of(problem)
        self.dtype = getattr(torch, problem.dtype)
        lanes = compiler.vector_bytes() // self.dtype.itemsize
        self._machine = Machine(_REAL[self.dtype], lanes)
        self._made: dict[Form, tuple[Written, compiler.Functions]] = {}
        dim, elements, out = problem.irreps_in1.dim, problem.irreps_in2.dim, problem.irreps_out.dim
        whole = Operand("w", problem.weight_numel, batched=False)
        self._operands = Operand("x", dim), Operand("y", elements), whole, Operand("g", out)
        self._operands += Operand("a", dim), Operand("b", elements), replace(whole, name="c")
        self._sweep = Sweep(problem, self.table, Form(0), self._machine)

    @property
    def units(self) -> int:
        """Groups of channels that fill a vector."""
        return self.problem.channels // self._sweep.width

    def written(self, form: Form) -> Written:
        """The source of a form."""
        return Sweep(self.problem, self.table, form, self._machine).written()

    def functions(self, form: Form) -> tuple[Written, compiler.Functions]:
        """A form, compiled."""
        if form not in self._made:
            written = self.written(form)
            self._made[form] = written, compiler.load(written.source, open_code("cg-llvm"))
        return self._made[form]

    @lazy
    def own(self) -> Callable[..., Tensor]:
        """The same by functions of torch."""
        return ContractionKernel(self.problem, "cpu", "torch")

    def require(self, x: Tensor, y: Tensor, w: Tensor, *others: Tensor | None) -> None:
        """Raise ValueError where an operand, or a cotangent of out or of x, y and w, is not what will be read."""
        given = [(t, operand) for t, operand in zip((x, y, w, *others), self._operands, strict=False) if t is not None]
        require_extents([t for t, _ in given], [operand for _, operand in given], self.dtype, torch.device("cpu"))

    def run(self, form: Form, entries: Entries, **memory: Tensor) -> None:
        """Fill the outputs of a form. Rows of x, g and a may lie anywhere, all else is contiguous."""
        written, functions = self.functions(form)
        operands: list[int] = []
        for name in form.rows:
            operands += memory[name].data_ptr(), memory[name].stride(0)
        every = {"bounds": entries.bounds, "rows": entries.rows, "values": entries.values, **memory}
        table = array("q", [*operands, *(every[name].data_ptr() for name in form.arrays)])
        ranges = pool.parts(self.units, written.nanoseconds * len(entries.rows), torch.get_num_threads())
        size = written.scratch * self.dtype.itemsize
        own = scratch(size * len(ranges))
        pool.run(functions, [(table.buffer_info()[0], *part, own + n * size) for n, part in enumerate(ranges)])


class Entries:
    """Pairs of a node and an element, element after element: those whose y is not zero, or all of them, as y's gradients want."""

    def __init__(self, y: Tensor, every: bool) -> None:
        count, elements = y.shape
        self._places: tuple[Tensor, Tensor] | None = None
        if every:
            self.rows, self.values = torch.arange(count, device="cpu").repeat(elements), y.t().reshape(-1)
            self.bounds = torch.arange(elements + 1, device="cpu") * count
            return
        found, self.rows = y.t().nonzero(as_tuple=True)
        self._places = self.rows, found
        self.values = y[self.rows, found]
        self.bounds = torch.searchsorted(found, torch.arange(elements + 1, device="cpu"))

    def at(self, b: Tensor) -> Tensor:
        """The numbers of another array of y's shape, for each entry."""
        return b.t().reshape(-1) if self._places is None else b[self._places]


class Forward:
    """The contraction."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.engine = f"llvm, {compiled.problem.channels // compiled.units} lanes, {len(compiled.table)} monomials"

    def __call__(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """x (nodes, channels * components), y (nodes, elements), w (weight_numel,) -> out (nodes, dim_out)."""
        self.compiled.require(x, y, w)
        out = x.new_zeros((len(x), self.compiled.problem.irreps_out.dim))
        self.compiled.run(Form(0), Entries(y, every=False), x=_rows(x), w=_whole(w), out=out)
        return out

    def vjp(self) -> Backward:
        """All gradients."""
        return Backward(self.compiled, (True, True, True))

    def sources(self, derivatives: int) -> dict[str, str]:
        """Outline and LLVM IR of the function itself and of its derivatives."""
        names = ("forward", "backward", "double backward")[: derivatives + 1]
        forms = {name: self.compiled.written(Form(order, order > 0)) for order, name in enumerate(names)}
        return {name: f"{written.outline}\n\n{written.source}" for name, written in forms.items()}


class Backward:
    """Gradients by x, y and w, those that are wanted."""

    engine = "llvm"

    def __init__(self, compiled: Compiled, wanted: Flags) -> None:
        self.compiled, self.wanted = compiled, wanted

    def part(self, given: Flags, wanted: Flags) -> Backward:
        """Some of them."""
        return Backward(self.compiled, wanted)

    def __call__(self, x: Tensor, y: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        """Operands and the cotangent of out -> gradients."""
        self.compiled.require(x, y, w, g)
        form, entries = Form(1, self.wanted[2]), Entries(y, self.wanted[1])
        dx, dw = x.new_zeros(x.shape), w.new_zeros(w.shape)
        dy = x.new_zeros((self.compiled.units, len(entries.rows)))
        self.compiled.run(form, entries, x=_rows(x), g=_rows(g), w=_whole(w), dx=dx, dy=dy, dw=dw)
        return _wanted((dx, lambda: _spread(dy, y), dw), self.wanted)

    def vjp(self) -> Twice:
        """Gradients of these."""
        return Twice(self.compiled, self.wanted, tuple(self.wanted), (True, True, True, True))


class Twice:
    """Gradients by x, y, w and g of first gradients: of their product with cotangents, which is a derivative in that direction."""

    engine = "llvm"

    def __init__(self, compiled: Compiled, first: Flags, given: Flags, wanted: Flags) -> None:
        """``first``: of x, y and w whose gradients were taken; ``given``: of those, which have a cotangent."""
        self.compiled, self.first, self.given, self.wanted = compiled, first, given, wanted

    def part(self, given: Flags, wanted: Flags) -> Twice:
        """Some of them, where some cotangents are zero."""
        return Twice(self.compiled, self.first, given[4:], wanted)

    def __call__(self, x: Tensor, y: Tensor, w: Tensor, g: Tensor, *cotangents: Tensor) -> tuple[Tensor, ...]:
        """Operands, the cotangent of out, and cotangents of the first gradients -> gradients of all of them."""
        a, b, c = self._directions(cotangents)
        self.compiled.require(x, y, w, g, a, b, c)
        form = Form(2, b is not None or c is not None)
        entries = Entries(y, self.wanted[1] or b is not None)
        ddx, ddw, ddg = x.new_zeros(x.shape), w.new_zeros(w.shape), g.new_zeros(g.shape)
        ddy = x.new_zeros((self.compiled.units, len(entries.rows)))
        memory = {"x": _rows(x), "g": _rows(g), "a": x.new_zeros(x.shape) if a is None else _rows(a), "w": _whole(w)}
        if form.weights:
            memory["c"] = w.new_zeros(w.shape) if c is None else _whole(c)
            memory["b"] = torch.zeros_like(entries.values) if b is None else entries.at(b)
        self.compiled.run(form, entries, ddx=ddx, ddy=ddy, ddw=ddw, ddg=ddg, **memory)
        return _wanted((ddx, lambda: _spread(ddy, y), ddw, ddg), self.wanted)

    def _directions(self, cotangents: Sequence[Tensor]) -> list[Tensor | None]:
        flags, rest = iter(self.given), iter(cotangents)
        return [next(rest) if taken and next(flags) else None for taken in self.first]

    def vjp(self) -> Thrice:
        """Gradients of these, by functions of torch."""
        return Thrice(self)


class Thrice:
    """Gradients by torch's own functions, which have any further ones."""

    engine = "torch"

    def __init__(self, of: Twice) -> None:
        self._of = of

    def part(self, given: Flags, wanted: Flags) -> Callable[..., tuple[Tensor, ...]]:
        """Some of them, where some inputs are zero."""
        first = gradient_of(self._of.compiled.own, (True,) * 4, self._of.first)
        second = gradient_of(first, (True,) * 4 + self._of.given, self._of.wanted)
        return gradient_of(second, given, wanted)

    def __call__(self, *operands: Any) -> tuple[Tensor, ...]:
        """All of them."""
        inputs = 4 + sum(self._of.given)
        return self.part((True,) * len(operands), (True,) * inputs)(*operands)


def build(problem: Problem) -> Forward:
    """The kernel of a symmetric contraction."""
    return Forward(Compiled(problem))


def _spread(sums: Tensor, y: Tensor) -> Tensor:
    """Sums over units of channels for every pair of an element and a node, as y lies."""
    return sums.sum(0).reshape(y.shape[::-1]).t()


def _wanted(values: tuple[Any, ...], wanted: Flags) -> tuple[Tensor, ...]:
    kept = [value for value, want in zip(values, wanted, strict=True) if want]
    return tuple(value if isinstance(value, Tensor) else value() for value in kept)


def _rows(tensor: Tensor) -> Tensor:
    """The tensor itself where the numbers of a row are adjacent."""
    tensor = tensor.resolve_neg()
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _whole(tensor: Tensor) -> Tensor:
    return tensor.resolve_neg().contiguous()
