"""``python -m tpregistry.cli``."""

from tpregistry.cli import main

main()
