"""What all torch backends share, and layers of operations that hosts do not have."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tpregistry.torch.graph import Graph as Graph
    from tpregistry.torch.layers import TensorProductConv as TensorProductConv

_HOMES = {"Graph": "graph", "TensorProductConv": "layers"}
__all__ = ["Graph", "TensorProductConv"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tpregistry.torch' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(f"tpregistry.torch.{_HOMES[name]}"), name)
