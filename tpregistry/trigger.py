"""What the start-up file imports where TP_BACKEND is set; lies at the root of the wheel as `tpregistry_startup`.

One tiny module without imports of its own, so that an interpreter that never meets a framework pays next to nothing. It may
outlive the package (a checkout that was moved, files that cannot be read): then programs run as if it were not there.
"""

import sys


class tpregistry_trigger:
    """Waits for a framework, then lets `tpregistry.bootstrap` take its place."""

    waits_for = ("torch", "jax")

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """A spec of torch or jax; None for all else."""
        bootstrap = _bootstrap() if name in cls.waits_for else None
        return bootstrap.awake(name) if bootstrap else None


def _bootstrap():
    """The module; None where it cannot be imported, which is said once.

    The trigger stays where it is, for the import that goes through the finders now would pass over the next one.
    """
    try:
        from tpregistry import bootstrap
    except Exception as error:
        tpregistry_trigger.waits_for = ()
        _tell(f"TP_BACKEND is set, but tpregistry cannot be imported ({type(error).__name__}: {error}): programs run stock")
        return None
    return bootstrap


def _tell(text):
    """By no warning, which would be an error where a program makes errors of them."""
    try:  # noqa: SIM105  contextlib is not imported for it
        print(f"tpregistry: warning: {text}. Install it anew, or remove {__file__} and what lies beside it", file=sys.stderr)
    except (OSError, ValueError):  # stderr is closed, or nobody reads it
        pass


if "torch" not in sys.modules and "jax" not in sys.modules:
    sys.meta_path.insert(0, tpregistry_trigger)  # pyright: ignore[reportArgumentType]
elif found := _bootstrap():  # a framework was imported by a start-up file before ours
    found.install()
