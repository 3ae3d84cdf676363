"""The import hook: stdlib only, nothing imported until a framework is.

The wheel's start-up file, where TP_BACKEND is set, leaves a trigger (`trigger.py`) that imports this module when torch or jax
is first imported: that takes long enough for us not to be noticed, while importing it at start-up would cost every
interpreter 0.4 ms. Adapters name the modules they wait for in their entry points, which are read then.
"""

import os
import sys
from types import ModuleType

FRAMEWORKS = ("torch", "jax")
_stock_getattribute = type(sys).__getattribute__


def install_if_asked() -> None:
    """What the start-up file of Python >= 3.15 calls."""
    if os.environ.get("TP_BACKEND", "off") not in ("", "off"):
        install()


def awake(name: str):
    """What the trigger of the start-up file calls: the finder takes its place, and finds the framework ``name``."""
    install()
    return next(finder for finder in sys.meta_path if isinstance(finder, Finder)).find_spec(name)


def install() -> None:
    """Put one finder in front, instead of the trigger; idempotent. Frameworks imported already are served at once."""
    others = [finder for finder in sys.meta_path if not _is_trigger(finder)]
    if any(isinstance(finder, Finder) for finder in others):
        return
    finder = Finder()
    sys.meta_path[:] = [finder, *others]
    if any(name in sys.modules for name in FRAMEWORKS):
        finder.watch_hosts()


def installed() -> bool:
    """Whether the finder is in place, or the trigger that waits for a framework."""
    return any(isinstance(finder, Finder) or _is_trigger(finder) for finder in sys.meta_path)


def _is_trigger(finder: object) -> bool:
    return getattr(finder, "__name__", "") == "tpregistry_trigger"


class Finder:
    """Finds nothing itself: it lets the others find, and patches a host's module right after its import."""

    def __init__(self) -> None:
        self._watched: set[str] = set(FRAMEWORKS)

    def find_spec(self, name, path=None, target=None):
        """A spec whose loader also patches, for the few modules that are watched; None for all others."""
        if name not in self._watched:
            return None
        self._watched.discard(name)  # another finder may ask for it in turn; other threads, for other names, go on
        spec = next(filter(None, (f.find_spec(name, path, target) for f in list(sys.meta_path) if f is not self)), None)
        if name in FRAMEWORKS:
            self.watch_hosts()
            return spec
        if spec is not None and spec.loader is not None:
            self._patch_after(spec.loader, name)
        return spec

    def watch_hosts(self) -> None:
        """Watch the modules that adapters wait for; patch those that are there already.

        A host that is being imported is what imports its framework: it is there when it is used.
        """
        for name in _hosts():
            module = sys.modules.get(name)
            if module is None or _importing(module):
                self._watched.add(name)
            else:
                patch(name)
            if module is not None and _importing(module):
                _patch_when_used(module)

    def _patch_after(self, loader, name: str) -> None:
        execute = loader.exec_module

        def exec_module(module) -> None:
            execute(module)
            patch(name)

        loader.exec_module = exec_module


def _hosts() -> list[str]:
    """What adapters wait for, whoever's they are; metadata that cannot be read do not end the import of a framework."""
    from importlib import metadata

    try:
        return [point.name for point in metadata.entry_points(group="tpregistry.adapters")]
    except Exception as error:
        _say_stock("every host", error)
        return []


def _importing(module) -> bool:
    return getattr(ModuleType.__getattribute__(module, "__spec__"), "_initializing", False)


def _patch_when_used(module) -> None:
    """Patch a module that is being imported when something of it is first asked for thereafter."""
    kind = type(module)

    class Imported(kind):
        def __getattribute__(self, name):
            if not name.startswith("__") and not _importing(self):
                self.__class__ = kind
                patch(self.__name__)
            return ModuleType.__getattribute__(self, name)

    module.__class__ = Imported


def patch(name: str) -> None:
    """Let the adapter of a module patch it, if TP_PLUGINS and TP_ADAPTERS allow it. Whatever goes wrong, the program runs on
    stock code, with one warning.

    A setting that means nothing is the user's to mend, so that error stays one.
    """
    try:
        from tpregistry.hosts import accelerated, adapter

        if name in accelerated():
            adapter(name).patch()
    except Exception as error:
        if type(error).__name__ == "SettingError":  # by name, for ours may be what cannot be imported
            raise
        _say_stock(name, error)


def _say_stock(name: str, error: Exception) -> None:
    import warnings

    warnings.warn(f"tpregistry: {name} stays stock ({type(error).__name__}: {error})", stacklevel=3)
