"""Whether the machine has what `gpu.sh` measures; a minute of a lent GPU is dear, so it says so before anything is measured."""

from __future__ import annotations

import sys
from importlib.util import find_spec

NEEDED = ("torch", "triton", "e3nn", "ase", "stevedore", "platformdirs", "rich", "matplotlib")
OURS = ("cg-triton", "e3nn")


def missing() -> list[str]:
    """What is not there, with what to do."""
    lacking = [f"{name}: no such module, give its wheel in WHEELS" for name in NEEDED if find_spec(name) is None]
    if lacking:
        return lacking
    from tpregistry import discovery
    from tpregistry.settings import current

    found = discovery.backends(current())
    absent = [f"{name}: not registered, install tpregistry (its build needs hatchling)" for name in OURS if name not in found]
    return absent + [f"{name}: {found[name].trouble}" for name in OURS if name in found and found[name].trouble]


if __name__ == "__main__":
    problems = missing()
    print("\n".join(problems) or "ready")
    sys.exit(bool(problems))
