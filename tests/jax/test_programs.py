"""How programs meet it: at trace time, once per call site; what is compiled holds the chosen kernel and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tpregistry
from tests.conftest import forget
from tests.jax.conftest import force, on_a_cpu
from tpregistry import session
from tpregistry.errors import Unsupported
from tpregistry_e3nn_jax import products as host_products
from tpregistry_e3nn_jax.adapter import FUNCTIONS, STOCK, Adapter

pytestmark = pytest.mark.xla

X = e3nn.normal("16x0e+16x1o", jax.random.PRNGKey(0), (64,))
Y = e3nn.normal("0e+1o", jax.random.PRNGKey(1), (64,))


def test_every_namespace_is_patched_and_given_back(patched_jax):
    import e3nn_jax._src.tensor_products as home

    for name in FUNCTIONS:
        assert getattr(e3nn, name) is getattr(home, name)
        assert getattr(e3nn, name) is not STOCK[name]
        assert getattr(e3nn, name).__doc__ == STOCK[name].__doc__
    kept = dict(STOCK)
    patched_jax.unpatch()
    assert all(getattr(e3nn, name) is getattr(home, name) is kept[name] for name in FUNCTIONS)


def test_functions_that_were_imported_before_are_told_of(monkeypatch):
    import types

    module = types.ModuleType("early_bird")
    module.product = e3nn.tensor_product
    monkeypatch.setitem(sys.modules, "early_bird", module)
    adapter = Adapter()
    with pytest.warns(UserWarning, match="early_bird had imported tensor_product"):
        adapter.patch()
    assert tpregistry.decisions().to_json()["out_of_reach"] == ["early_bird had imported tensor_product of e3nn_jax before"]
    adapter.unpatch()
    assert not tpregistry.decisions().out_of_reach


def instructions(compiled) -> Counter[str]:
    """How many of each kind a compiled program has; of calls, which."""
    text = compiled.as_text()
    names = re.findall(r'custom_call_target="([^"]+)"', text)
    return Counter(re.findall(r" = (?:\([^=]*\)|\S+) ([a-z][\w-]*)\(", text)) + Counter(names)


@pytest.mark.parametrize("backend", on_a_cpu())
def test_the_compiled_program_holds_the_kernel_alone(backend, patched_jax, monkeypatch):
    """What the chosen kernel compiles to by itself, down to the number of instructions; no host, no Python."""
    force(backend, monkeypatch)
    x, y = (z.array for z in (X, Y))

    def program(x, y):
        left, right = e3nn.IrrepsArray(X.irreps, x), e3nn.IrrepsArray(Y.irreps, y)
        return e3nn.tensor_product(left, right, regroup_output=False).array

    ours = instructions(jax.jit(program).lower(x, y).compile())
    (decision,) = tpregistry.decisions()
    alone = jax.jit(lambda x, y: decision.kernel(x, y, jnp.zeros((0,)))).lower(x, y).compile()
    assert decision.backend == backend
    assert ours == instructions(alone)
    assert not any("callback" in name for name in ours)
    assert ours["custom-call"] == sum(name.startswith("tpregistry_") for name in ours) == (backend == "cg-llvm")


def test_settings_are_part_of_the_program(patched_jax, monkeypatch):
    force("cg-llvm", monkeypatch)
    traced = []
    function = jax.jit(lambda x, y: traced.append(1) or e3nn.tensor_product(x, y).array)
    for backend in ("cg-llvm", "off", "cg-llvm", "off"):
        with tpregistry.use(backend):
            function(X, Y)
    assert len(traced) == 2
    assert {decision.backend for decision in tpregistry.decisions()} == {"cg-llvm", "e3nn_jax"}


def test_forced_but_impossible_is_an_error_when_traced(patched_jax, monkeypatch):
    force("cg-llvm", monkeypatch)
    with pytest.raises(Unsupported, match="TP121"):
        jax.jit(e3nn.tensor_product)(X.astype(jnp.bfloat16), Y.astype(jnp.bfloat16))


def test_auto_is_decided_while_tracing_and_kept(patched_jax, monkeypatch, tmp_path):
    monkeypatch.setenv("TP_BUDGET", "60")
    monkeypatch.setenv("TP_CACHE_DIR", str(tmp_path))
    force("auto", monkeypatch)
    gradient = jax.jit(jax.grad(lambda x, y: jnp.sum(e3nn.tensor_product(e3nn.IrrepsArray(X.irreps, x), y).array ** 2)))
    gradient(X.array, Y)
    (decision,) = tpregistry.decisions()
    assert decision.source == "tuned"
    assert decision.record is not None
    assert {entry.backend for entry in decision.record.entries} >= {"cg-llvm", "cg-dense", "cg-hoist", "e3nn_jax"}
    forget()
    jax.clear_caches()
    gradient(X.array, Y)
    assert [decision.source for decision in tpregistry.decisions()] == ["record"]


def test_symbolic_shapes_are_left_to_the_host(forced):
    (batch,) = jax.export.symbolic_shape("b")
    shapes = [jax.ShapeDtypeStruct((batch, z.irreps.dim), jnp.float32) for z in (X, Y)]
    function = jax.jit(lambda x, y: e3nn.tensor_product(e3nn.IrrepsArray(X.irreps, x), e3nn.IrrepsArray(Y.irreps, y)).array)
    exported = jax.export.export(function)(*shapes)
    assert exported.call(X.array[:3], Y.array[:3]).shape[0] == 3
    assert tpregistry.decisions().left_to_host["symbolic shapes"] == 1


def test_dispatch_costs_less_than_a_millisecond_per_call_site(forced):
    """Tracing with a bound kernel, less tracing the kernel's own call, is reading the call and looking the decision up."""
    jax.eval_shape(e3nn.tensor_product, X, Y)
    (decision,) = tpregistry.decisions()
    w = jnp.zeros((0,))

    def traced(function, *operands):
        rounds = []
        for _ in range(30):
            start = time.perf_counter()
            jax.make_jaxpr(lambda *o: function(*o))(*operands)
            rounds.append(time.perf_counter() - start)
        return min(rounds)

    def call(x, y):
        return e3nn.tensor_product(e3nn.IrrepsArray(X.irreps, x), e3nn.IrrepsArray(Y.irreps, y)).array

    kernel_alone = traced(lambda x, y: decision.kernel(x, y, w), X.array, Y.array)
    assert traced(call, X.array, Y.array) - kernel_alone <= 1e-3


PROGRAM = """
import jax, jax.numpy as jnp
from e3nn_jax import tensor_product, normal
x, y = (normal(irreps, jax.random.PRNGKey(0), (64,)) for irreps in ("8x0e+8x1o", "0e+1o"))
print(float(jnp.sum(jax.jit(tensor_product)(x, y).array ** 2)))
import sys
print("torch" in sys.modules)
import tpregistry
print(tpregistry.decisions())
"""


def run(tmp_path, program: str = PROGRAM, **variables: str) -> list[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TP_")} | variables
    environ |= {"TP_CACHE_DIR": str(tmp_path / "records"), "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "jax")}
    environ |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_unmodified_program_and_the_compilation_cache(tmp_path):
    """The variable alone; the second process finds compiled code of both kinds, and two choices never share an entry."""
    stock = run(tmp_path)
    assert stock[1:] == ["False", "[]"]
    for backend in ("cg-llvm", "cg-dense", "cg-llvm", "off"):
        found = run(tmp_path, TP_BACKEND=backend)
        assert float(found[0]) == pytest.approx(float(stock[0]), rel=1e-5)
        assert found[1] == "False"
        assert backend == "off" or f"-> {backend}" in found[2]


@pytest.mark.parametrize("first", ["from e3nn_jax import tensor_product as early", "import nequix\nearly = None"])
def test_a_library_that_is_imported_before_jax(first, tmp_path):
    """It imports jax itself, so it is half imported when we wake up."""
    program = f"{first}\n{PROGRAM}\nprint(early in (None, tensor_product))"
    found = run(tmp_path, program, TP_BACKEND="cg-llvm")
    assert "-> cg-llvm" in found[2]
    assert found[3] == "True"


@pytest.mark.filterwarnings("ignore:tpregistry. deciding failed")
def test_no_verdict_is_kept_where_the_host_itself_raised(patched_jax, monkeypatch, tmp_path):
    """The program gets the host's error; once that is mended, the backend is taken."""

    def broken(*_, **__):
        raise ArithmeticError("the host's own")

    stock = STOCK["tensor_product"]
    with tpregistry.use("cg-llvm,e3nn_jax", cache_dir=str(tmp_path)):
        monkeypatch.setitem(STOCK, "tensor_product", broken)
        host_products._host.cache_clear()
        session.forget()
        with pytest.raises(ArithmeticError, match="the host's own"):
            host_products.accelerated("tensor_product", host_products.read_tensor_product)(X, Y)
        assert not tpregistry.decisions()
        monkeypatch.setitem(STOCK, "tensor_product", stock)
        host_products._host.cache_clear()
        np.testing.assert_allclose(e3nn.tensor_product(X, Y).array, stock(X, Y).array, atol=1e-5)
        assert [decision.backend for decision in tpregistry.decisions()] == ["cg-llvm"]
