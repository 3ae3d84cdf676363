"""What `tpregistry doctor` looks at: one file per area, each a function from the surroundings to checks."""

from tpregistry.cli.checks.check import Check
from tpregistry.cli.checks.everything import examine

__all__ = ["Check", "examine"]
