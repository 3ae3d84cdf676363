"""Compiled code and processes: a cold cache raced for, a warm one, forks, threads, spawned processes, an interrupt."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.signals import heeding_interrupts
from tests.tiers import first

pytestmark = pytest.mark.processes

PROGRAM = """
import os, sys, time
import torch
from tpregistry.testing import real_problems
from tpregistry_cg import CgLlvm
from tpregistry.torch.differentiable import differentiable
torch.manual_seed(0)
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
problem = real_problems()["nequip with parity"]
sizes = problem.irreps_in1.dim, problem.irreps_in2.dim, problem.weight_numel
operands = [torch.randn(200, size, requires_grad=True) for size in sizes]
start = time.process_time()
function = differentiable(CgLlvm().build(problem, "cpu"))
def evaluate():
    out = function(*operands)
    (dy,) = torch.autograd.grad(out.sin().sum(), operands[1], create_graph=True)
    return [out, dy, *torch.autograd.grad(dy.square().sum(), operands)]
values = evaluate()
seconds = time.process_time() - start  # of the processor: others may be busy on it
"""


def start(body: str, cache: Path, **variables: str) -> subprocess.Popen:
    ours = {"TP_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "2"} | variables
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TP_")} | ours
    command = [sys.executable, "-c", PROGRAM + textwrap.dedent(body)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen, seconds: float = 240) -> str:
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize("count", first([4, 16], lambda count: count == 4))
def test_many_processes_with_an_empty_cache(tmp_path: Path, count: int) -> None:
    processes = [start("print(repr([float(v.double().sum()) for v in values]))", tmp_path) for _ in range(count)]
    results = {ended(process) for process in processes}
    assert len(results) == 1, "the same numbers, bit by bit, in all processes"
    code = list((tmp_path / "code" / "cg-llvm").iterdir())
    assert code
    assert {path.suffix for path in code} == {".o"}, "no half-written file is left"


def test_a_second_process_loads_what_the_first_compiled(tmp_path: Path) -> None:
    first, second = (float(ended(start("print(seconds)", tmp_path, OMP_NUM_THREADS="1"))) for _ in range(2))
    assert second < 0.5
    assert second < first


def test_damaged_code_is_compiled_anew(tmp_path: Path) -> None:
    expected = ended(start("print(repr([float(v.double().sum()) for v in values]))", tmp_path))
    for path in (tmp_path / "code" / "cg-llvm").iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    assert ended(start("print(repr([float(v.double().sum()) for v in values]))", tmp_path)) == expected


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "code").write_text("a file where the folder would be")
    ended(start("assert all(v.isfinite().all() for v in values)", tmp_path))


def test_a_forked_child_computes_the_same(tmp_path: Path) -> None:
    """Where torch's own threads are gone: an operation of torch on two threads would wait for ever there."""
    body = """
    import os
    operands = [operand.detach() for operand in operands]
    forward = CgLlvm().build(problem, "cpu")
    backward = forward.vjp()
    def compute():
        out = forward(*operands)
        return [value.numpy() for value in (out, *backward(*operands, out))]
    expected = compute()
    child = os.fork()
    if child == 0:
        os._exit(0 if all((a == b).all() for a, b in zip(compute(), expected)) else 3)
    assert os.waitpid(child, 0)[1] == 0
    """
    ended(start(body, tmp_path), seconds=120)


def test_a_fork_before_the_first_kernel(tmp_path: Path) -> None:
    """The parent has used OpenMP, and only the child comes to import our code."""
    program = """
    import os, numpy as np, torch, tpregistry
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.randn(400, 400) @ torch.randn(400, 400)
    torch.randn(10**6).sin()
    child = os.fork()
    if child == 0:
        from tpregistry.testing import real_problems
        from tpregistry_cg import CgLlvm
        problem = real_problems()["nequip with parity"]
        sizes = problem.irreps_in1.dim, problem.irreps_in2.dim, problem.weight_numel
        ones = (torch.from_numpy(np.ones((400, size), np.float32)) for size in sizes)  # no parallel operation of torch here
        out = CgLlvm().build(problem, "cpu")(*ones).numpy()
        os._exit(0 if (out[0] == out[-1]).all() else 3)
    assert os.waitpid(child, 0)[1] == 0
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TP_")} | {"TP_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=environ, check=True, timeout=120)


def test_threads_at_once(tmp_path: Path) -> None:
    body = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as threads:
        for again in threads.map(lambda n: evaluate(), range(64)):
            assert all(torch.equal(a, b) for a, b in zip(again, values))
    """
    ended(start(body, tmp_path))


def test_spawned_processes(tmp_path: Path) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(
        PROGRAM
        + textwrap.dedent("""
        def work(number):
            return [float(v.double().sum()) for v in evaluate()]
        if __name__ == "__main__":
            import multiprocessing
            with multiprocessing.get_context("spawn").Pool(2) as workers:
                for found in workers.map(work, range(4)):
                    assert found == [float(v.double().sum()) for v in values]
        """)
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TP_")} | {"TP_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, str(script)], env=environ, check=True, timeout=240)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_an_interrupt_while_compiling_ends_the_program_and_leaves_the_cache_good(tmp_path: Path, delay: float) -> None:
    announce = "import torch, tpregistry.native.compiler\nprint('begin', flush=True)\n"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TP_")} | {"TP_CACHE_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", announce + PROGRAM + "time.sleep(60)"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeding_interrupts,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    ended(start("assert all(v.isfinite().all() for v in values)", tmp_path))
