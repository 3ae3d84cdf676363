"""Run as a script, in a process of its own: loads one plugin as listing does, and writes down what that did.

    python probe.py NAME FILE

Our own modules are imported before, so that only what the plugin brings is counted.
"""

import json
import sys
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from tpregistry.discovery import BACKENDS, checked


def probe(name: str) -> dict[str, Any]:
    """Processor seconds, modules imported with the distributions that brought them, the face, and what was wrong."""
    (point, *_) = metadata.entry_points(group=BACKENDS, name=name)
    before, start = set(sys.modules), time.process_time()
    try:
        face, fault = asdict(checked(point.load()()).face), ""
    except Exception as error:  # a plugin may raise anything; it is what is looked for
        face, fault = None, f"{type(error).__name__}: {error}"
    seconds = time.process_time() - start
    imported = {module.partition(".")[0] for module in sys.modules.keys() - before}
    distributions = metadata.packages_distributions()
    brought = {module: distributions.get(module, []) for module in imported}
    return {"seconds": seconds, "imported": brought, "face": face, "fault": fault}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(probe(sys.argv[1])), encoding="utf-8")
