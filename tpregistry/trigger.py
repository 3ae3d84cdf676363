"""What the start-up file imports where TP_BACKEND is set; lies at the root of the wheel as `tpregistry_startup`.

One tiny module without imports of its own, so that an interpreter that never meets a framework pays next to nothing.
"""

import sys


class tpregistry_trigger:
    """Waits for a framework, then lets `tpregistry.bootstrap` take its place."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """A spec of torch or jax; None for all else."""
        if name in ("torch", "jax"):
            from tpregistry import bootstrap

            return bootstrap.awake(name)
        return None


if "torch" in sys.modules or "jax" in sys.modules:  # by a start-up file before ours
    from tpregistry import bootstrap

    bootstrap.install()
else:
    sys.meta_path.insert(0, tpregistry_trigger)  # pyright: ignore[reportArgumentType]
