"""Whether this process is one of several that run the same program, as their launchers tell it."""

from __future__ import annotations

import os
from collections.abc import Mapping

SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
"""Of torchrun, Open MPI, MPICH and Intel MPI, srun. SLURM_NTASKS is not among them: a batch script has it, being one process."""

RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")


def launched(environ: Mapping[str, str] | None = None) -> tuple[str, int]:
    """The variable that tells of most processes, and how many they are; ("", 1) where none tells of several."""
    environ = os.environ if environ is None else environ
    sizes = [(int(environ[name]), name) for name in SIZES if environ.get(name, "").isdigit()]
    size, name = max(sizes, default=(1, ""))
    return (name, size) if size > 1 else ("", 1)


def first() -> bool:
    """Whether this is the process that speaks for all."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)
