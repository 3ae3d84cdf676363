"""The command line: one file per command, each light until its work begins."""


def main() -> None:
    """Entry point of ``tpregistry``; ends in SystemExit."""
    from tpregistry.cli.app import run

    run()
