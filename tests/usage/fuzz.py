"""Random sequences of what programs do to a module, on a backend and on stock e3nn in step.

    python -m tests.usage.fuzz --backend auto --sequences 300 --seed 0
    python -m tests.usage.fuzz --backend auto --seed 17 --keep 2,5        # one sequence, some of its steps

    python -m tests.usage.fuzz --jax --backend auto --sequences 100

Both twins must show the same after every step: numbers to rounding, exceptions, hooks that fired, state. A failing sequence is
shrunk to the steps that matter and printed with the command that runs it again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in [name for name in os.environ if name.startswith("TP_")]:
    del os.environ[name]

import torch
import torch._dynamo  # what children would import, once

from tests.usage.children import Surroundings, failures
from tests.usage.sequences import LENGTH, Sequence, each, sequence
from tests.usage.steps import STEPS
from tests.usage.twins import Failure

JAX = ("auto", "cg-llvm", "cg-hoist", "cg-dense", "cuequivariance-jax", "e3j", "e3nn_jax")
BACKENDS = ("auto", "cg-llvm", "cg-hoist", "cg-dense", "cuequivariance", "gtp-grid", "gtp-fourier", "e3nn")
"""Those that run products of torch on a CPU; a named one leaves to e3nn what it cannot do."""


def main(words: list[str] | None = None) -> int:
    """The number of failing sequences, as exit status at most 100."""
    asked = _arguments(words)
    torch.set_num_threads(1)
    names = (JAX if asked.jax else BACKENDS) if asked.backend == "all" else (asked.backend,)
    with tempfile.TemporaryDirectory(prefix="tpregistry-usage-") as folder:
        failed = sum(_run(name, asked, asked.records or folder, n) for n, name in enumerate(names))
    return min(failed, 100)


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="auto", help=f"a backend, or all: {', '.join(BACKENDS)}")
    parser.add_argument("--sequences", type=int, default=1, help="how many; of all backends together where all are asked for")
    parser.add_argument("--seed", type=int, default=0, help="of the first sequence")
    parser.add_argument("--steps", type=int, default=LENGTH, help="of each sequence")
    parser.add_argument("--keep", default="", help="places of the steps to run, from 0")
    parser.add_argument("--jax", action="store_true", help="programs of e3nn-jax")
    parser.add_argument("--quick", action="store_true", help="without steps that take seconds")
    parser.add_argument("--each", action="store_true", help="every step in turn, each in a short sequence of its own")
    parser.add_argument("--without", default="", help="names of steps to leave out")
    parser.add_argument("--records", default="", help="a folder of records to keep; else a temporary one")
    parser.add_argument("--no-shrink", action="store_true", help="print failing sequences whole")
    return parser.parse_args(words)


def _run(backend: str, asked: argparse.Namespace, records: str, number: int) -> int:
    """All sequences of one backend. Where all backends are asked for, each has its share of the seeds."""
    seeds = range(len(STEPS)) if asked.each and not asked.keep else range(asked.seed, asked.seed + asked.sequences)
    if asked.backend == "all":
        seeds = seeds[number :: len(JAX if asked.jax else BACKENDS)]
    host = "e3nn_jax" if asked.jax else "e3nn"
    request = backend if backend in ("auto", host) else f"{backend},{host}"
    around = Surroundings(request, records)
    started, failed, known = time.monotonic(), 0, {}
    for n, (one, failure) in enumerate(failures((_sequence(seed, asked) for seed in seeds), around), 1):
        if failure is not None:
            failed += 1
            _report(one, failure, backend, around, asked, known)
        elif n % 20 == 0:
            _say(f"{backend}: {n} sequences in {time.monotonic() - started:.0f} s, {failed} failed")
    _say(f"{backend}: {len(seeds)} sequences in {time.monotonic() - started:.0f} s, {failed} failed in {len(known)} ways")
    return failed


def _sequence(seed: int, asked: argparse.Namespace) -> Sequence:
    whole = jax_program(seed) if asked.jax else each(seed) if asked.each else sequence(seed, asked.steps)
    slow = {name for name, step in STEPS.items() if step.slow and asked.quick}
    left = whole.without(slow | set(asked.without.split(",")))
    return left.keeping(tuple(map(int, asked.keep.split(",")))) if asked.keep else left


def jax_program(seed: int) -> Sequence:
    """Imported where it is asked for."""
    from tests.usage.jax_programs import program

    return program(seed)


def _report(
    one: Sequence, failure: Failure, backend: str, around: Surroundings, asked: argparse.Namespace, known: dict[str, int]
) -> None:
    """The first of its kind is shrunk; others name it."""
    if failure.kind in known:
        _say(f"{backend}: seed {one.seed} fails as {known[failure.kind]} does: {failure.kind}")
        return
    known[failure.kind] = one.seed
    places = tuple(range(failure.place + 1))
    if not (asked.no_shrink or asked.keep):
        places, failure = shrunk(one, failure, around)
    lines = [f"{backend}: seed {one.seed} ({one.product}, {one.dtype}) FAILS: {failure.kind}", f"      {failure.said}"]
    lines += [f"    {place}: {one.steps[place][0]}" for place in places]
    kept = asked.keep or ",".join(map(str, places))
    again = ["python -m tests.usage.fuzz", f"--backend {backend} --seed {one.seed}", *_options(asked), f"--keep {kept}"]
    _say("\n".join([*lines, "    " + " ".join(again)]))


def _options(asked: argparse.Namespace) -> list[str]:
    """What makes the same sequence of a seed."""
    flags = [f"--{name}" for name in ("jax", "each", "quick") if getattr(asked, name)]
    flags += [f"--steps {asked.steps}"] if asked.steps != LENGTH else []
    return flags + ([f"--without {asked.without}"] if asked.without else [])


def shrunk(one: Sequence, failure: Failure, around: Surroundings) -> tuple[tuple[int, ...], Failure]:
    """Steps without which it fails as before are dropped, from the last to the first; the failing one stays."""
    places = tuple(range(failure.place + 1))
    for place in reversed(places[:-1]):
        fewer = tuple(kept for kept in places if kept != place)
        ((_, found),) = failures([one.keeping(fewer)], around)
        if found is not None and found.kind == failure.kind:
            places, failure = fewer, found
    return places, failure


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
