"""Trains in processes that it starts itself: in a pool of spawned ones, and as another program."""

import json
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from potential import losses, potential


def work(steps: int) -> list[float]:
    return losses(potential(), steps)


if __name__ == "__main__":
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(work, [1, 2]))
    command = [sys.executable, Path(__file__).with_name("train.py")]
    print(json.dumps([*found, json.loads(subprocess.run(command, capture_output=True, check=True).stdout)]))
