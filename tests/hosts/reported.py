"""A pytest plugin for hosts' suites: what each process ran is written down when its session ends."""

import os


def pytest_sessionfinish() -> None:
    """Report what ran now: a worker process may be killed before it gets to its exit functions."""
    if "TP_BACKEND" in os.environ:
        from tpregistry import report

        report.write(os.environ["TP_REPORT"])
