"""JAX programs: a function of products of e3nn-jax, under transforms and settings drawn at random, ours and stock's."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
from e3nn_jax.legacy import FunctionalFullyConnectedTensorProduct
from jax.experimental import checkify, jet

from tests.usage.trace import Raised, Shown
from tests.usage.twins import Failure, difference
from tpregistry_e3nn_jax.adapter import Adapter

Function = Callable[..., Any]
IX, IY = "2x0e+2x1o+1x2e", "0e+1o"
DIMS = (13, 4)


def products(x: Any, y: Any) -> Any:
    """All pairs of irreps."""
    return e3nn.tensor_product(e3nn.IrrepsArray(IX, x), e3nn.IrrepsArray(IY, y)).array


def filtered(x: Any, y: Any) -> Any:
    """As in message passing."""
    return e3nn.tensor_product(e3nn.IrrepsArray(IX, x), e3nn.IrrepsArray(IY, y), filter_ir_out="0e+1o+2e").array


def squared(x: Any, y: Any) -> Any:
    """A square, and a product of copies."""
    other = e3nn.IrrepsArray(IY, y)
    scale = jnp.sum(e3nn.elementwise_tensor_product(other, other).array, -1, keepdims=True)
    return e3nn.tensor_square(e3nn.IrrepsArray(IX, x)).array * scale


@cache
def _connected() -> Any:
    return FunctionalFullyConnectedTensorProduct("2x0e+2x1o", IY, "3x0e+2x1o")


def connected(x: Any, y: Any) -> Any:
    """Weights of its own, mapped over samples as haiku maps."""
    shapes = [ins.path_shape for ins in _connected().instructions]
    weights = [jnp.cos(jnp.arange(np.prod(shape), dtype=x.dtype)).reshape(shape) for shape in shapes]
    given = e3nn.IrrepsArray("2x0e+2x1o", x[..., :8]), e3nn.IrrepsArray(IY, y)
    return e3nn.utils.vmap(lambda a, b: _connected().left_right(weights, a, b))(*given).array


def layered(x: Any, y: Any) -> Any:
    """One product on the result of another."""
    return products(jnp.tanh(filtered(x, y)[..., :13]), y)


PROGRAMS = {"products": products, "filtered": filtered, "squared": squared, "connected": connected, "layered": layered}


def energy(function: Function) -> Function:
    """A smooth scalar of what a function gives."""
    return lambda *given: sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(function(*given)))


def scanned(function: Function) -> Function:
    def run(x: Any, y: Any) -> Any:
        def body(carry: Any, scale: Any) -> Any:
            return carry + energy(function)(x * carry, y), carry * scale

        return jax.lax.scan(body, jnp.ones((), x.dtype), jnp.linspace(0.1, 0.2, 3, dtype=x.dtype))

    return run


def evaluated(function: Function) -> Function:
    def run(*given: Any) -> Any:
        closed = jax.make_jaxpr(function)(*given)
        return jax.core.eval_jaxpr(closed.jaxpr, closed.consts, *jax.tree.leaves(given))

    return run


def series(function: Function) -> Function:
    def run(x: Any, y: Any) -> Any:
        return jet.jet(function, (x, y), ((jnp.ones_like(x), jnp.zeros_like(x)), (jnp.ones_like(y), jnp.zeros_like(y))))

    return run


def linearised(function: Function) -> Function:
    def run(*given: Any) -> Any:
        out, tangent = jax.linearize(function, *given)
        return out, tangent(*given)

    return run


def reverse(function: Function) -> Function:
    def run(*given: Any) -> Any:
        out, back = jax.vjp(function, *given)
        return out, back(out)

    return run


def conditional(function: Function) -> Function:
    return lambda x, y: jax.lax.cond(jnp.sum(x) > 0, function, lambda x, y: jax.tree.map(lambda a: 2 * a, function(x, y)), x, y)


def stacked(axes: Any) -> Callable[[Function], Function]:
    """Mapped over operands of two copies."""

    def transform(function: Function) -> Function:
        def run(x: Any, y: Any) -> Any:
            given = [a if axis is None else jnp.stack([a, -a], axis) for a, axis in zip((x, y), axes, strict=True)]
            return jax.vmap(function, axes)(*given)

        return run

    return transform


def exported(function: Function) -> Function:
    def run(*given: Any) -> Any:
        data = jax.export.export(jax.jit(function))(*given).serialize()
        return jax.export.deserialize(data).call(*given)

    return run


def by_loop(function: Function) -> Function:
    return lambda x, y: jax.lax.fori_loop(0, 2, lambda n, value: value + energy(function)(x, y), jnp.zeros((), x.dtype))


TRANSFORMS: dict[str, Callable[[Function], Function]] = {
    "jit": jax.jit,
    "jit with donated operands": lambda f: lambda *given: jax.jit(f, donate_argnums=(0,))(*(a + 0 for a in given)),
    "jit, inlined": partial(jax.jit, inline=True),
    "grad": lambda f: jax.grad(energy(f), (0, 1)),
    "grad by y": lambda f: jax.grad(energy(f), 1),
    "value and grad": lambda f: jax.value_and_grad(energy(f)),
    "jvp": lambda f: lambda *given: jax.jvp(f, given, given),
    "vjp": reverse,
    "linearize": linearised,
    "jacfwd": lambda f: jax.jacfwd(energy(f)),
    "jacrev": lambda f: jax.jacrev(energy(f)),
    "hessian": lambda f: jax.hessian(energy(f)),
    "vmap": stacked((0, 0)),
    "vmap over x": stacked((0, None)),
    "vmap over y": stacked((None, 1)),
    "vmap inside": lambda f: jax.vmap(f),
    "checkpoint": jax.checkpoint,
    "checkpoint, kept": lambda f: jax.checkpoint(f, policy=jax.checkpoint_policies.dots_saveable),
    "scan": scanned,
    "fori_loop": by_loop,
    "cond": conditional,
    "jaxpr": evaluated,
    "jet": series,
    "jet of jit": lambda f: series(jax.jit(f)),
    "checkify": lambda f: lambda *given: checkify.checkify(f)(*given)[1],
    "checkify of jit": lambda f: lambda *given: checkify.checkify(jax.jit(f), errors=checkify.float_checks)(*given)[1],
    "export": exported,
    "custom_vjp": lambda f: _own_rule(f),
    "pure_callback around": lambda f: lambda *given: jax.tree.map(lambda a: a * 1, f(*given)),
    "closure_convert": lambda f: lambda *given: jax.closure_convert(f, *given)[0](*given),
    "pickled operands": lambda f: lambda *given: f(*(_pickled(a) for a in given)),
    "named scope": lambda f: jax.named_call(f, name="program"),
    "shapes first": lambda f: lambda *given: (jax.eval_shape(f, *given), f(*given))[1],
    "lowered": lambda f: lambda *given: jax.jit(f).lower(*given).compile()(*given),
    "linear_transpose": lambda f: (
        lambda x, y: jax.linear_transpose(lambda t: jax.jvp(lambda a: f(a, y), (x,), (t,))[1], x)(f(x, y))
    ),
    "stop_gradient": lambda f: lambda x, y: f(jax.lax.stop_gradient(x), y),
}


def _own_rule(function: Function) -> Function:
    own = jax.custom_vjp(function)
    own.defvjp(lambda *given: (function(*given), given), lambda given, g: jax.vjp(function, *given)[1](g))
    return own


def _tangent(function: Function, x: Any, y: Any, t: Any) -> Any:
    return jax.jvp(lambda a: function(a, y), (x,), (t,))[1]


def _pickled(array: Any) -> Any:
    return array if isinstance(array, jax.core.Tracer) else pickle.loads(pickle.dumps(array))


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "x64": lambda: jax.enable_x64(True),
    "no jit": jax.disable_jit,
    "nan checks": lambda: jax.debug_nans(True),
    "leaks": jax.checking_leaks,
    "precision": lambda: jax.default_matmul_precision("float32"),
    "ranks may not grow": lambda: jax.numpy_rank_promotion("raise"),
    "types may not grow": lambda: jax.numpy_dtype_promotion("strict"),
    "nothing": nullcontext,
}

OPERANDS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "as they are": lambda x, y: (x, y),
    "float64": lambda x, y: (x.astype("float64"), y.astype("float64")),
    "half": lambda x, y: (x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)),
    "of NumPy": lambda x, y: (np.asarray(x), np.asarray(y)),
    "one sample": lambda x, y: (x[:1], y[:1]),
    "no samples": lambda x, y: (x[:0], y[:0]),
    "more dimensions": lambda x, y: (x.reshape(2, 2, -1), y.reshape(2, 2, -1)),
    "wrong width": lambda x, y: (x[:, 1:], y),
    "zeros": lambda x, y: (0 * x, y),
}


@dataclass(frozen=True)
class Program:
    """A function, transforms from the innermost outwards, settings and a kind of operands. ``steps`` are the transforms."""

    seed: int
    product: str
    dtype: str
    setting: str
    steps: tuple[tuple[str, int], ...]

    def keeping(self, places: tuple[int, ...]) -> Program:
        """Only some of the transforms."""
        return Program(self.seed, self.product, self.dtype, self.setting, tuple(self.steps[n] for n in places))

    def without(self, names: set[str]) -> Program:
        """All transforms but those."""
        return self.keeping(tuple(n for n, (name, _) in enumerate(self.steps) if name not in names))

    def compare(self, watch: Callable[[int], None]) -> Failure | None:
        """Values and exceptions in both worlds."""
        stock = self.observe()
        watch(len(self.steps) - 1)
        adapter = Adapter()
        adapter.patch()
        try:
            ours = self.observe()
        finally:
            adapter.unpatch()
        said = difference(ours, stock, lambda: self.observe(wide=True))
        name = self.steps[-1][0]
        return None if said is None else Failure(len(self.steps) - 1, name, f"{self.product}, {name}: {said[0]}", said[1])

    def observe(self, wide: bool = False) -> Any:
        """What it gives, twice, or raises; in float64 where it is ``wide``."""
        jax.clear_caches()
        with ExitStack() as stack:
            stack.enter_context(SETTINGS[self.setting]())
            stack.enter_context(jax.enable_x64(True) if wide else nullcontext())
            try:
                function = PROGRAMS[self.product]
                for name, _ in self.steps:
                    function = TRANSFORMS[name](function)
                return [_shown(leaf) for _ in range(2) for leaf in jax.tree.leaves(function(*self._operands(wide)))]
            except Exception as error:
                return Raised(type(error).__qualname__, f"{error}"[:300], tuple(kind.__qualname__ for kind in type(error).__mro__))

    def _operands(self, wide: bool) -> tuple[Any, Any]:
        generator = np.random.default_rng(self.seed)
        rounded = [generator.standard_normal((4, dim)).astype("float32") for dim in DIMS]
        x, y = (jnp.asarray(array, "float64" if wide else "float32") for array in rounded)
        return OPERANDS[self.dtype](x, y)


def _shown(array: Any) -> Any:
    numbers = np.asarray(array)
    kind = str(numbers.dtype)
    wide = numbers.astype(np.float64) if kind not in ("complex64", "complex128") else numbers.astype(np.complex128)
    return Shown((numbers.shape, bool(getattr(array, "weak_type", False))), f"torch.{kind}", wide)


def program(seed: int, length: int = 3) -> Program:
    """The program of a seed."""
    choose = random.Random(seed)
    steps = tuple((choose.choice(list(TRANSFORMS)), 0) for _ in range(choose.randint(1, length)))
    kinds = ["as they are"] * 6 + list(OPERANDS)
    settings = ["nothing"] * 6 + list(SETTINGS)
    return Program(seed, choose.choice(list(PROGRAMS)), choose.choice(kinds), choose.choice(settings), steps)
