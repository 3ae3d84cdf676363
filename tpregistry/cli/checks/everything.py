"""All checks, in the order in which a reader wants them: what is here, does it start, what is kept, what is set."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tpregistry.cli.checks.check import Check
from tpregistry.cli.checks.install import backend_checks, framework_checks, host_checks, python_checks
from tpregistry.cli.checks.keep import store_checks
from tpregistry.cli.checks.setup import Read, read, request_checks, setting_checks
from tpregistry.cli.checks.startup import startup_checks
from tpregistry.processes import launched


def examine(environ: Mapping[str, str] | None = None) -> list[Check]:
    """Every check of this installation and environment."""
    environ = os.environ if environ is None else environ
    found = read(environ)
    return [
        *python_checks(),
        *framework_checks(),
        *host_checks(found.settings),
        *backend_checks(found.settings),
        *startup_checks(environ, found.settings),
        *store_checks(found.settings),
        *_settings(found),
        *_processes(environ),
    ]


def _settings(found: Read) -> list[Check]:
    return [*setting_checks(found), *request_checks(found.settings)]


def _processes(environ: Mapping[str, str]) -> list[Check]:
    """Ranks that measured on their own would disagree, so a program of several processes never measures implicitly."""
    variable, size = launched(environ)
    if size == 1:
        return []
    text = f"{variable}={size}: in a program of several processes nothing is measured implicitly, only records are used"
    cure = "run `tpregistry autotune -- CMD` once in a single process with the same OMP_NUM_THREADS (torchrun sets 1)"
    return [Check("Processes", "warn", text, f"{cure}, or autotune the model")]
